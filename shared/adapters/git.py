"""Remote repositories through git, without checking anything out: a shallow bare fetch, then the object database.

What is fetched is untrusted. git runs without the system's and the user's configuration, without hooks, submodules,
LFS and redirects, over http(s) and ssh only; the token goes to GitLab's own host alone, through the environment.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import git

from shared.errors import Reject, Retry
from shared.ports import Snapshot, TreeEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.settings import GitLabSettings, SourceSettings

SCHEMES = frozenset({"http", "https", "ssh"})
SCP_LIKE = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!//|:)(.+)")
WATCH_SECONDS = 0.25
SYMLINK, SUBMODULE = "120000", "160000"

# The last words of git → what they mean; the first that matches counts. {url} and {ref} are filled in.
EMPTY = r"couldn't find remote ref HEAD"
NO_REF = r"couldn't find remote ref|not our ref|no such remote ref"
NO_ACCESS = r"Authentication failed|could not read Username|could not read Password|Permission denied|error: 40[13]"
NOT_FOUND = r"not found|does not exist|does not appear to be a git repository|error: 404"
REDIRECT = r"redirect"
REFUSALS: tuple[tuple[str, str], ...] = (
    (EMPTY, "{url} is empty: it has no commit yet; push something first"),
    (NO_REF, "{url} has no branch, tag or commit {ref}"),
    (NO_ACCESS, "{url} refuses access; give the analyzer a token that may read it (GITLAB_TOKEN)"),
    (NOT_FOUND, "the repository {url} was not found; check its URL, and that the token may read it"),
    (REDIRECT, "{url} answers with a redirect, which is not followed; submit the address that it leads to"),
)


@dataclass(frozen=True)
class Remote:
    """A repository's address after the policy has looked at it."""

    url: str
    host: str
    port: int | None
    ours: bool


class GitSource:
    """Implements `shared.ports.Source`."""

    def __init__(self, settings: SourceSettings, gitlab: GitLabSettings, wanted: Callable[[str], bool]) -> None:
        """`wanted` says of a path whether its content is to be read."""
        self._settings = settings
        self._gitlab = gitlab
        self._wanted = wanted

    async def read(self, url: str, ref: str | None) -> Snapshot:
        """The tree of `ref` (None: the default branch) and the content of its manifests.

        Raises Reject where the policy, a limit or the other side says no, Retry where the host does not answer.
        """
        if ref is not None and (ref.startswith("-") or not ref.isprintable() or " " in ref):
            raise Reject(f"{ref!r} is no name of a branch, tag or commit")
        remote = self._policy(url)
        await self._check_addresses(remote)
        with tempfile.TemporaryDirectory(prefix="greenrun-clone-", ignore_cleanup_errors=True) as folder:
            await self._fetch(remote, ref, Path(folder))
            return await asyncio.to_thread(self._snapshot, Path(folder), url)

    def _policy(self, url: str) -> Remote:
        """The address, if its scheme and host are allowed."""
        scp = SCP_LIKE.fullmatch(url) if "://" not in url else None
        parts = urlsplit(f"ssh://{scp[1]}/{scp[2]}" if scp else url)
        host = parts.hostname
        if parts.scheme not in SCHEMES or not host or url.startswith("-"):
            raise Reject(f"{url} cannot be cloned: only http, https and ssh addresses can")
        ours = urlsplit(self._gitlab.gitlab_url)
        is_ours = host == ours.hostname and (parts.scheme == "ssh" or parts.netloc == ours.netloc)
        allowed = {host.strip() for host in self._settings.analyzer_allowed_hosts.split(",")}
        if not is_ours and host not in allowed:
            raise Reject(f"{host} is not among the hosts that may be cloned from; see ANALYZER_ALLOWED_HOSTS")
        if is_ours and not scp and not parts.path.endswith(".git"):
            # GitLab redirects to the address with .git, and redirects are not followed.
            parts = parts._replace(path=f"{parts.path.rstrip('/')}.git")
        return Remote(url if scp else urlunsplit(parts), host, parts.port, is_ours)

    async def _check_addresses(self, remote: Remote) -> None:
        """Refuse a host that resolves into a private range, unless it is GitLab's own or the setting allows it."""
        if remote.ours or self._settings.allow_private_addresses:
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(remote.host, remote.port or 443)
        except OSError as error:
            raise Retry(f"the host {remote.host} cannot be resolved: {error.strerror or error}") from error
        for *_, address in found:
            if not ip_address(str(address[0]).partition("%")[0]).is_global:
                reason = f"{remote.host} resolves to the private address {address[0]}"
                raise Reject(f"{reason}; set ALLOW_PRIVATE_ADDRESSES=true if that is meant")

    async def _fetch(self, remote: Remote, ref: str | None, folder: Path) -> None:
        """The one commit into a bare repository; limits on time and bytes."""
        env = self._environment(remote)
        await _run(["git", "init", "--quiet", "--bare", str(folder)], env)
        argv = ["git", f"--git-dir={folder}", "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"]
        process = await asyncio.create_subprocess_exec(
            *argv,
            *("--", remote.url, ref or "HEAD"),
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        watching = asyncio.create_task(self._limit(remote, folder))
        talking = asyncio.create_task(process.communicate())
        try:
            await asyncio.wait({watching, talking}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            _, words = await talking
        finally:
            watching.cancel()
            _end(process)
            with suppress(asyncio.CancelledError):
                await talking
        if process.returncode:
            raise _translated(words.decode(errors="replace"), remote, ref)

    async def _limit(self, remote: Remote, folder: Path) -> None:
        """Raise when the fetch has taken too long or too much; runs beside it."""
        deadline = asyncio.get_running_loop().time() + self._settings.clone_timeout
        while asyncio.get_running_loop().time() < deadline:
            size = await asyncio.to_thread(_bytes_below, folder)
            if size > self._settings.clone_max_bytes:
                limit = self._settings.clone_max_bytes
                raise Reject(
                    f"{remote.url} is larger than the limit CLONE_MAX_BYTES={limit}; raise it if that is meant"
                )
            left = deadline - asyncio.get_running_loop().time()
            await asyncio.sleep(max(0.0, min(WATCH_SECONDS, left)))
        raise Reject(f"cloning {remote.url} takes longer than the limit CLONE_TIMEOUT={self._settings.clone_timeout} s")

    def _environment(self, remote: Remote) -> dict[str, str]:
        """The environment of git: nothing of this machine's configuration but its certificates and proxies."""
        settings = {
            "core.hooksPath": os.devnull,
            "protocol.file.allow": "never",
            "protocol.ext.allow": "never",
            "http.followRedirects": "false",
            "fetch.fsckObjects": "false",
            "gc.auto": "0",
            "credential.helper": "",
        }
        token = self._gitlab.gitlab_token.get_secret_value()
        if remote.ours and token and remote.url.startswith("http"):
            encoded = base64.b64encode(f"oauth2:{token}".encode()).decode()
            settings["http.extraHeader"] = f"Authorization: Basic {encoded}"
        numbered = {f"GIT_CONFIG_KEY_{n}": key for n, key in enumerate(settings)}
        numbered |= {f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(settings.values())}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_CONFIG")}
        return (
            kept
            | numbered
            | {
                "GIT_CONFIG_COUNT": str(len(settings)),
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_ALLOW_PROTOCOL": ":".join(sorted(SCHEMES)),
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_LFS_SKIP_SMUDGE": "1",
                "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
                "LC_ALL": "C",
            }
        )

    def _snapshot(self, folder: Path, url: str) -> Snapshot:
        """Names and sizes of all files, contents of the wanted ones; blobs are read, nothing is checked out."""
        with git.Repo(folder) as repository:
            sha = repository.git.rev_parse("FETCH_HEAD")
            rows = list(_rows(repository.git.ls_tree("-r", "-l", "-z", sha, stdout_as_string=False)))
            if len(rows) > self._settings.clone_max_files:
                limit = self._settings.clone_max_files
                raise Reject(f"{url} has {len(rows)} files, more than the limit CLONE_MAX_FILES={limit}")
            tree = tuple(entry for entry, _ in rows)
            contents = {
                entry.path: repository.odb.stream(bytes.fromhex(blob)).read()
                for entry, blob in rows
                if entry.size <= self._settings.manifest_max_bytes and self._wanted(entry.path)
            }
        return Snapshot(sha, tree, contents)


def _rows(listed: bytes) -> Iterable[tuple[TreeEntry, str]]:
    """The files of `ls-tree -r -l -z` with their blobs; symlinks and submodules lead elsewhere and are left out."""
    for row in listed.split(b"\0"):
        meta, tab, path = row.partition(b"\t")
        if not tab:
            continue
        mode, _, blob, size = meta.decode().split()
        if mode not in {SYMLINK, SUBMODULE}:
            yield TreeEntry(path.decode(errors="backslashreplace"), int(size), mode), blob


def _translated(words: str, remote: Remote, ref: str | None) -> Retry | Reject:
    """The last words of git as what they mean; what is not known may pass."""
    for pattern, sentence in REFUSALS:
        if re.search(pattern, words, re.IGNORECASE):
            return Reject(sentence.format(url=remote.url, ref=ref), evidence=words.strip()[-1000:])
    last = words.strip().splitlines()[-1] if words.strip() else "git said nothing"
    return Retry(f"{remote.host} does not give the repository now: {last}")


async def _run(argv: list[str], env: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(*argv, env=env, stdout=asyncio.subprocess.DEVNULL)
    if await process.wait():
        raise Retry(f"{' '.join(argv[:2])} failed; is the disk full?")


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total
