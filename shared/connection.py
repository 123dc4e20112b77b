"""The connection to NATS: who this program is, over which certificates, and in plain words why it is not let in."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import nkeys
from nats.aio.client import Client
from nats.errors import Error as NatsError

from shared.errors import NotAdmitted
from shared.logging import logger
from shared.permissions import inbox, user_of

if TYPE_CHECKING:
    from shared.settings import CommonSettings

REFUSED = re.compile(r"permissions violation for (publish|subscription) to \"([^\"]+)\"", re.IGNORECASE)
UNKNOWN = ("authorization violation", "authentication revoked", "authentication expired", "authorization failed")
# TLS 1.3 tells a client that its certificate is missing or unwelcome only after the handshake, by an alert.
UNWELCOME = ("certificate required", "bad certificate", "unknown ca", "certificate unknown", "certificate expired")
REFUSALS_KEPT = 100
# A handshake that failed is never told that its transport is closed: there is nothing to wait for.
CLOSE_SECONDS = 0.1
log = logger("connection")


class NotOffered(NatsError):  # noqa: N818 - what TLS was
    """The server would go on without TLS."""


class Admission:
    """How a program stands with the server: what it was refused, and whether it is shut out for good."""

    def __init__(self, settings: CommonSettings, name: str) -> None:
        """Of a connection with this name; the user is NATS_USER, or follows from the name."""
        self.user = settings.nats_user or user_of(name)
        self.where = settings.nats_address
        self._end: asyncio.Future[NotAdmitted] = asyncio.get_running_loop().create_future()
        # In lower case, as nats-py repeats the server's words.
        self._refused: deque[str] = deque(maxlen=REFUSALS_KEPT)

    async def shut_out(self) -> NotAdmitted:
        """Return why, once the server has ended this program's welcome, or the connection was closed."""
        return await asyncio.shield(self._end)

    def refusal(self, subject: str) -> str | None:
        """Why a publish to the subject went unanswered; None where the server did not refuse it, as far as is known."""
        return self._refusal("publish to", subject) if subject.lower() in self._refused else None

    async def on_error(self, error: Exception) -> None:
        """A refused right, a refused identity or a lost connection reaches only this callback."""
        refused = REFUSED.search(str(error))
        if refused:
            verb = "publish to" if refused[1].lower() == "publish" else "subscribe to"
            log.error("NATS refuses", reason=self._refusal(verb, refused[2]))
            self._refused.append(refused[2].lower())
        elif reason := self.why(error):
            self._shut(reason)
        else:
            log.warning("NATS reports", error=str(error) or type(error).__name__)

    async def on_closed(self) -> None:
        """The client gives up for good only where the server has ended its welcome, or by its own close."""
        self._shut(self._unknown())

    def why(self, error: Exception, *, asked_for_certificate: bool = False) -> str | None:
        """Why this program is not let in, and what to do; None where trying again may help."""
        words = str(error).lower()
        if isinstance(error, NotOffered):
            return (
                f"NATS at {self.where} does not offer TLS, which NATS_TLS_CA and tls:// demand; nothing was sent to it"
            )
        if any(said in words for said in UNKNOWN):
            return self._unknown()
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{_distrust(error, self.where)} (NATS says: {error.verify_message})"
        unwelcome = isinstance(error, ssl.SSLError) and any(said in words.replace("_", " ") for said in UNWELCOME)
        # The alert that says so may be lost when the server hangs up right after it.
        if unwelcome or (asked_for_certificate and isinstance(error, ConnectionError)):
            advice = "NATS_TLS_CERT and NATS_TLS_KEY name one that its own authority signed"
            return f"NATS at {self.where} wants a certificate that it knows, and got none or another; {advice}"
        return None

    def _unknown(self) -> str:
        advice = "set NATS_PASSWORD (or NATS_NKEY_SEED), or put it into SECRETS_DIR; 'greenrun secrets' makes it"
        return f"NATS at {self.where} does not know the user {self.user} by what it was shown; {advice}"

    def _refusal(self, verb: str, subject: str) -> str:
        advice = "bring the server's users up to date ('greenrun secrets init DIR'), and reload the server"
        return f"NATS at {self.where} does not let {self.user} {verb} {subject}; {advice}"

    def _shut(self, reason: str) -> None:
        if not self._end.done():
            self._end.set_result(NotAdmitted(reason))


class SecuredClient(Client):
    """A client that, where TLS is wanted, sends nothing to a server that demands none: nats-py goes on in the clear."""

    def __init__(self, *, tls: bool) -> None:
        super().__init__()
        self._wants_tls = tls
        self.asked_for_certificate = False

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        self.asked_for_certificate = bool(info.get("tls_verify"))
        if self._wants_tls and initial_connection and not info.get("tls_required"):
            raise NotOffered
        await super()._process_info(info, initial_connection)


async def connected(settings: CommonSettings, name: str) -> tuple[Client, Admission]:
    """A client that reconnects for ever; asks again until the server is there. NotAdmitted where it lets nobody in."""
    waiting = 0.2
    while True:
        admission = Admission(settings, name)
        options = _options(settings, name, admission)
        client = SecuredClient(tls=bool(options["tls"]) or "tls://" in settings.nats_url)
        try:
            # With reconnecting allowed, the client asks for ever with what the server has refused.
            await client.connect(allow_reconnect=False, **options)
            if not client.is_connected:
                raise ConnectionResetError("the server hung up")
        except (OSError, NatsError, TimeoutError) as error:
            with suppress(OSError, NatsError, TimeoutError):
                await asyncio.wait_for(client.close(), CLOSE_SECONDS)
            if reason := admission.why(error, asked_for_certificate=client.asked_for_certificate):
                raise NotAdmitted(reason) from error
            log.warning("waiting for NATS", url=admission.where, error=str(error) or type(error).__name__)
            await asyncio.sleep(waiting)
            waiting = min(2 * waiting, 5.0)
        else:
            client.options["allow_reconnect"] = True
            return client, admission


def _options(settings: CommonSettings, name: str, admission: Admission) -> dict[str, Any]:
    """What the client is told; NotAdmitted where a certificate or a key of this program cannot be used."""
    password = settings.nats_password
    return {
        "servers": settings.nats_url.split(","),
        "name": f"greenrun-{name}",
        "inbox_prefix": inbox(admission.user).encode(),
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.2,
        "connect_timeout": 2,
        "user": admission.user if password or settings.nats_user else None,
        "password": password.get_secret_value() if password else None,
        "nkeys_seed_str": _seed(settings),
        "tls": _tls(settings),
        "error_cb": admission.on_error,
        "closed_cb": admission.on_closed,
    }


def _seed(settings: CommonSettings) -> str | None:
    """The seed of the user's nkey; NotAdmitted, which never shows the text, where it is none."""
    seed = settings.nats_nkey_seed.get_secret_value() if settings.nats_nkey_seed else None
    try:
        if seed:
            nkeys.from_seed(bytearray(seed.encode()))
    except (nkeys.NkeysError, ValueError) as error:
        raise NotAdmitted("NATS_NKEY_SEED is no nkey seed; 'greenrun secrets init --nkeys' makes one") from error
    return seed


def _tls(settings: CommonSettings) -> ssl.SSLContext | None:
    """Whom to trust and what to show; None where neither is set: then the system's authorities are trusted."""
    if not (settings.nats_tls_ca or settings.nats_tls_cert or settings.nats_tls_key):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.nats_tls_ca)
        if settings.nats_tls_cert:
            context.load_cert_chain(settings.nats_tls_cert, settings.nats_tls_key)
    except OSError as error:
        names = "NATS_TLS_CA, NATS_TLS_CERT or NATS_TLS_KEY"
        raise NotAdmitted(f"{names} names a file that holds no certificate, or not its key: {error}") from error
    return context


def _distrust(error: ssl.SSLCertVerificationError, where: str) -> str:
    """The sentence about a server's certificate."""
    if error.verify_code == EXPIRED:
        return f"the certificate of NATS at {where} has expired, or this machine's clock is wrong; renew it"
    if error.verify_code in OTHER_NAME:
        return f"the certificate of NATS at {where} is for another name; NATS_URL must say the name that it is for"
    return f"the certificate of NATS at {where} is not from an authority that NATS_TLS_CA names"


# OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH.
EXPIRED = 10
OTHER_NAME = frozenset({62, 64})
