"""Copies images between registries with skopeo.

skopeo exits 1 for every failure, so the last line of its standard error is what tells them apart.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from shared.adapters.registry_auth import auth_file, is_loopback
from shared.ci.references import parse
from shared.errors import Reject, Retry
from shared.ports import unheard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.adapters.registry_auth import Credentials
    from shared.ci.places import Place
    from shared.ports import Progress

INSTALL = "install it with 'apt-get install skopeo' (macOS: 'brew install skopeo')"
ADVICE = "check REGISTRY_USER and REGISTRY_PASSWORD and their rights"
PROGRESS_SECONDS = 1.0

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
        (r"unexpected EOF", "unreachable", True),
        (r"digest did not match", "damaged", True),
    )
)
UNKNOWN = ("unknown", True)

_MESSAGE = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_AT_TARGET = re.compile(r"destination|writing (blob|manifest|config)|uploading|initiating layer upload")
# The source ended or changed what it was giving; what stands before is the request to the target that this broke.
_AT_SOURCE = re.compile(r"happened during read: (.+)$")


class CopyFailed(Reject):
    """This image cannot be copied, whatever is tried; `error_class` names why, `words` are the registry's own."""

    def __init__(self, source: str, error_class: str, words: str) -> None:
        """`source` is the name that was asked for."""
        super().__init__(f"image {source} cannot be copied: {words}", evidence=words)
        self.error_class = error_class
        self.words = words


class CopyDelayed(Retry):
    """The source does not give the image now; another place may, or the same one later."""

    def __init__(self, source: str, error_class: str, words: str, *, after: float | None = None) -> None:
        """`source` is the name that was asked for; `after` is the source's own wish in seconds."""
        super().__init__(f"copying {source} failed for now ({error_class}): {words}", after=after)
        self.error_class = error_class
        self.words = words


class Skopeo:
    """Implements `shared.ports.Copier`: one child process for each copy, killed when the copy is cancelled."""

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        insecure: Sequence[str] = (),
        timeout: float = 900.0,
        program: str = "skopeo",
    ) -> None:
        """`credentials` maps a host to user and password, `insecure` are hosts without TLS; `timeout` in seconds."""
        self._credentials = dict(credentials or {})
        self._insecure = frozenset(insecure)
        self._timeout = timeout
        self._program = program

    async def copy(self, place: Place, target: str, progress: Progress = unheard) -> None:
        """Copy with all platforms and the same digests; where both names have tag and digest, the digest is read.

        Raises CopyFailed for this image's own failure, CopyDelayed where the source may give it later, Retry where the
        target may take it later, Reject where the target refuses.
        """
        read, written = _by_digest(place.name), _by_tag(target)
        errors = await self._run(self._reading(place), self._writing(target), read, written, progress)
        if errors is not None:
            raise failure(place.name, target, errors)

    async def download(self, place: Place, folder: Path, progress: Progress = unheard) -> None:
        """Write the image with all platforms into a folder (skopeo's `dir:`); raises what `copy` raises."""
        errors = await self._run(self._reading(place), [], _by_digest(place.name), f"dir:{folder}", progress)
        if errors is not None:
            raise failure(place.name, str(folder), errors)

    async def upload(self, folder: Path, target: str, progress: Progress = unheard) -> None:
        """Copy what `download` wrote to `target`; Retry where it may be taken later, Reject where it is refused."""
        errors = await self._run([], self._writing(target), f"dir:{folder}", _by_tag(target), progress)
        if errors is not None:
            raise failure(str(folder), target, errors)

    async def _run(
        self, reading: Sequence[str], writing: Sequence[str], source: str, target: str, progress: Progress
    ) -> str | None:
        """Standard error of a copy that failed; None where it succeeded."""
        with auth_file(self._credentials) as auth:
            options = [option.format(auth=auth) for option in (*reading, *writing)]
            process = await self._start([*options, source, target])
            told = asyncio.create_task(tell_written(process.pid, progress))
            try:
                async with asyncio.timeout(self._timeout + 5):
                    _, errors = await process.communicate()
            except TimeoutError as error:
                raise CopyDelayed(source, "timeout", f"it took longer than {self._timeout:g} s") from error
            finally:
                told.cancel()
                await _end(process)
        return errors.decode(errors="replace") if process.returncode else None

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

    def _reading(self, place: Place) -> list[str]:
        plain = place.scheme == "http" or (not place.scheme and self._is_plain(place.host))
        return [*self._login("src", place.host), *(["--src-tls-verify=false"] if plain else [])]

    def _writing(self, target: str) -> list[str]:
        host = parse(target).domain
        return [*self._login("dest", host), *(["--dest-tls-verify=false"] if self._is_plain(host) else [])]

    def _login(self, side: str, host: str) -> list[str]:
        return [f"--{side}-authfile={{auth}}"] if host in self._credentials else []

    def _is_plain(self, host: str) -> bool:
        return host in self._insecure or is_loopback(host)


def failure(source: str, target: str, errors: str) -> Retry | Reject:
    """What the last line of skopeo's standard error means for the delivery, and whose failure it is."""
    words = last_words(errors)
    if read := _AT_SOURCE.search(words):
        words = read[1]
    name, transient = next(((n, t) for pattern, n, t in FAILURES if pattern.search(words)), UNKNOWN)
    if not read and _is_at_target(words, source, target):
        if transient:
            return Retry(f"copying {source} to {target} failed for now ({name}): {words}")
        return Reject(f"registry {target.partition('/')[0]} refuses {target}: {ADVICE}", evidence=words)
    return CopyDelayed(source, name, words) if transient else CopyFailed(source, name, words)


def _is_at_target(words: str, source: str, target: str) -> bool:
    """Whether the words name the target's registry, or the step of writing at which it ended."""
    host = target.partition("/")[0]
    named = bool(host) and re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|[.:]\w)", words) is not None
    return (named and host != source.partition("/")[0]) or _AT_TARGET.search(words) is not None


def last_words(errors: str) -> str:
    """The message of skopeo's last line."""
    lines = [line for line in errors.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else "skopeo said nothing"
    message = _MESSAGE.search(last)
    return message[1].replace('\\"', '"').replace("\\n", " ") if message else last


def _by_digest(source: str) -> str:
    """Tag and digest together are refused: read by the digest."""
    image = parse(source)
    return f"docker://{image.domain}/{image.repository}@{image.digest}" if image.digest else f"docker://{image}"


def _by_tag(target: str) -> str:
    """Tag and digest together are refused: write the tag, the digest comes with it."""
    image = parse(target)
    return f"docker://{image.domain}/{image.repository}:{image.tag}" if image.tag else f"docker://{image}"


async def tell_written(pid: int, progress: Progress) -> None:
    """Tell every second how many bytes the process has written, as the kernel counts them; silent where it does not.

    skopeo itself says nothing of its progress where no terminal is.
    """
    if progress is unheard:
        return
    with suppress(OSError, LookupError, ValueError):
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
            await progress(int(counts["wchar"]))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the whole process group where it still runs, and wait for it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
