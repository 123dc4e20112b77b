"""Copies images between registries with skopeo.

skopeo exits 1 for every failure, so the last line of its standard error is what tells them apart.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from shared.adapters.registry_auth import is_loopback
from shared.ci.references import parse
from shared.errors import Reject, Retry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

INSTALL = "install it with 'apt-get install skopeo' (macOS: 'brew install skopeo')"

# First match wins; each row: what skopeo says, the class of the failure, whether it may pass by itself.
FAILURES: tuple[tuple[re.Pattern[str], str, bool], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), name, transient)
    for pattern, name, transient in (
        (r"toomanyrequests|too many requests|\b429\b", "rate_limited", True),
        (
            r"manifest unknown|name unknown|repository name not known|reading manifest .* not found",
            "manifest_unknown",
            False,
        ),
        (r"no image found in (image index|manifest list)", "no_platform", False),
        (r"invalid reference format|must be lowercase", "invalid_reference", False),
        (r"unauthorized|authentication required|invalid username", "unauthorized", False),
        (r"denied|forbidden|insufficient_scope", "denied", False),
        (r"server gave HTTP response to HTTPS client", "speaks_http", False),
        (r"x509:|certificate", "certificate", False),
        (r"no such host", "no_such_host", False),
        (r"connection refused|connection reset|no route to host|unreachable|broken pipe", "unreachable", True),
        (r"deadline exceeded|timed? ?out", "timeout", True),
        (r"unexpected http status: 5|\b50[0234]\b|internal server error", "server_error", True),
        (r"no space left", "disk_full", True),
    )
)
UNKNOWN = ("unknown", True)

_MESSAGE = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_AT_TARGET = re.compile(r"destination|writing (blob|manifest|config)|uploading|initiating layer upload")


class CopyFailed(Reject):
    """This image cannot be copied, whatever is tried; `error_class` names why, `words` are the registry's own."""

    def __init__(self, source: str, error_class: str, words: str) -> None:
        """`source` is the name that was asked for."""
        super().__init__(f"image {source} cannot be copied: {words}", evidence=words)
        self.error_class = error_class
        self.words = words


class Skopeo:
    """Implements `shared.ports.Copier`: one child process for each copy, killed when the copy is cancelled."""

    def __init__(
        self,
        *,
        credentials: Mapping[str, tuple[str, str]] | None = None,
        insecure: Sequence[str] = (),
        timeout: float = 900.0,
        program: str = "skopeo",
    ) -> None:
        """`credentials` maps a host to user and password, `insecure` are hosts without TLS; `timeout` in seconds."""
        self._credentials = dict(credentials or {})
        self._insecure = frozenset(insecure)
        self._timeout = timeout
        self._program = program

    async def copy(self, source: str, target: str) -> None:
        """Copy with all platforms and the same digests; where both names have tag and digest, the digest is read.

        Raises CopyFailed for this image's own failure, Retry for what may pass, Reject where the target refuses.
        """
        code, errors = await self._run(source, target)
        if code:
            raise failure(source, target, errors)

    async def _run(self, source: str, target: str) -> tuple[int, str]:
        """Exit code and standard error."""
        with self._auth_file() as auth:
            process = await self._start([*self._options(source, target, auth), *_names(source, target)])
            try:
                async with asyncio.timeout(self._timeout + 5):
                    _, errors = await process.communicate()
            except TimeoutError as error:
                raise Retry(f"copying {source} took longer than {self._timeout:g} s") from error
            finally:
                await _end(process)
        return process.returncode or 0, errors.decode(errors="replace")

    async def _start(self, arguments: Sequence[str]) -> asyncio.subprocess.Process:
        # skopeo's own limit ends it even where this process is no longer there to do so.
        argv = [
            self._program,
            f"--command-timeout={self._timeout:g}s",
            "copy",
            "--all",
            "--preserve-digests",
            *arguments,
        ]
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            return await asyncio.create_subprocess_exec(
                *argv, stdin=null, stdout=null, stderr=pipe, start_new_session=True
            )
        except FileNotFoundError as error:
            raise Reject(f"{self._program} is not installed; {INSTALL}") from error

    def _options(self, source: str, target: str, auth: str) -> Iterator[str]:
        for side, name in (("src", source), ("dest", target)):
            host = parse(name).domain
            if host in self._credentials:
                yield f"--{side}-authfile={auth}"
            if host in self._insecure or is_loopback(host):
                yield f"--{side}-tls-verify=false"

    @contextmanager
    def _auth_file(self) -> Iterator[str]:
        """A file that only this user can read: a command line can be read by everyone on the machine."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            pairs = {host: f"{user}:{password}" for host, (user, password) in self._credentials.items()}
            auths = {host: {"auth": base64.b64encode(pair.encode()).decode()} for host, pair in pairs.items()}
            json.dump({"auths": auths}, file)
            file.flush()
            yield file.name


def failure(source: str, target: str, errors: str) -> Retry | Reject:
    """What the last line of skopeo's standard error means for the delivery."""
    words = last_words(errors)
    name, transient = next(((n, t) for pattern, n, t in FAILURES if pattern.search(words)), UNKNOWN)
    if transient:
        return Retry(f"copying {source} to {target} failed for now ({name}): {words}")
    if name in ("unauthorized", "denied") and _AT_TARGET.search(words):
        what = "check REGISTRY_USER and REGISTRY_PASSWORD and their rights"
        return Reject(f"registry {parse(target).domain} refuses {target}: {what}", evidence=words)
    return CopyFailed(source, name, words)


def last_words(errors: str) -> str:
    """The message of skopeo's last line."""
    lines = [line for line in errors.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "skopeo said nothing"
    message = _MESSAGE.search(last)
    return message[1].replace('\\"', '"').replace("\\n", " ") if message else last


def _names(source: str, target: str) -> tuple[str, str]:
    """Tag and digest together are refused: read by the digest, write the tag (the digest comes with it)."""
    read, written = parse(source), parse(target)
    by_digest = f"{read.domain}/{read.repository}@{read.digest}" if read.digest else str(read)
    by_tag = f"{written.domain}/{written.repository}:{written.tag}" if written.tag else str(written)
    return f"docker://{by_digest}", f"docker://{by_tag}"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the whole process group where it still runs, and wait for it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
