"""What may be cloned and how git is run: addresses, its environment, and what its last words mean."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shlex
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from shared.errors import Reject, Retry

if TYPE_CHECKING:
    from shared.settings import GitLabSettings, SourceSettings

SCHEMES = frozenset({"http", "https", "ssh"})
SCP_LIKE = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!//|:)(.+)")

# The last words of git → what they mean; the first that matches counts. {url} and {ref} are filled in.
EMPTY = r"couldn't find remote ref HEAD"
NO_REF = r"couldn't find remote ref|not our ref|no such remote ref|unadvertised object"
NO_ACCESS = r"Authentication failed|could not read Username|could not read Password|Permission denied|error: 40[13]"
NOT_FOUND = r"not found|does not exist|does not appear to be a git repository|error: 404"
REDIRECT = r"redirect|error: 30[1278]"
MEMORY = r"out of memory|malloc failed|cannot allocate|memory exhausted"
UNKNOWN_HOST = r"Host key verification failed"
REFUSALS: tuple[tuple[str, str], ...] = (
    (MEMORY, "{url} unpacks to objects that are larger than the limit CLONE_MAX_MEMORY; raise it if that is meant"),
    (EMPTY, "{url} is empty: it has no commit yet; push something first"),
    (NO_REF, "{url} has no branch, tag or commit {ref}"),
    (UNKNOWN_HOST, "the ssh host of {url} is not known; put its key into the file that CLONE_KNOWN_HOSTS names"),
    (NO_ACCESS, "{url} refuses access; give the analyzer a token that may read it (GITLAB_TOKEN) or CLONE_SSH_KEY"),
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


def allowed(url: str, settings: SourceSettings, gitlab: GitLabSettings) -> Remote:
    """The address, if its scheme and host are allowed; Reject where not."""
    scp = SCP_LIKE.fullmatch(url) if "://" not in url else None
    try:
        parts = urlsplit(f"ssh://{scp[1]}/{scp[2]}" if scp else url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Reject(f"{url} is no address: {error}") from error
    if parts.scheme not in SCHEMES or not host or url.startswith("-"):
        raise Reject(f"{url} cannot be cloned: only http, https and ssh addresses can")
    ours = urlsplit(gitlab.gitlab_url)
    is_ours = host == ours.hostname and (parts.scheme == "ssh" or parts.netloc == ours.netloc)
    if not is_ours and host not in {name.strip() for name in settings.analyzer_allowed_hosts.split(",")}:
        raise Reject(f"{host} is not among the hosts that may be cloned from; see ANALYZER_ALLOWED_HOSTS")
    if is_ours and not scp and not parts.path.endswith(".git"):
        # GitLab redirects to the address with .git, and redirects are not followed.
        parts = parts._replace(path=f"{parts.path.rstrip('/')}.git")
    return Remote(url if scp else urlunsplit(parts), host, port, is_ours)


def check_ref(ref: str | None) -> None:
    """Reject what git would not take for a name."""
    if ref is not None and (ref.startswith("-") or not ref.isprintable() or " " in ref):
        raise Reject(f"{ref!r} is no name of a branch, tag or commit")


async def check_addresses(remote: Remote, settings: SourceSettings) -> None:
    """Reject a host that resolves into a private range, unless it is GitLab's own or the setting allows it."""
    if remote.ours or settings.allow_private_addresses:
        return
    try:
        found = await asyncio.get_running_loop().getaddrinfo(remote.host, remote.port or 443)
    except OSError as error:
        raise Retry(f"the host {remote.host} cannot be resolved: {error.strerror or error}") from error
    for *_, address in found:
        if not ip_address(str(address[0]).partition("%")[0]).is_global:
            reason = f"{remote.host} resolves to the private address {address[0]}"
            raise Reject(f"{reason}; set ALLOW_PRIVATE_ADDRESSES=true if that is meant")


def environment(remote: Remote, settings: SourceSettings, gitlab: GitLabSettings) -> dict[str, str]:
    """The environment of git: nothing of this machine's configuration but its certificates and proxies."""
    config = {
        "core.hooksPath": os.devnull,
        "protocol.version": "2",
        "protocol.file.allow": "never",
        "protocol.ext.allow": "never",
        "http.followRedirects": "false",
        "fetch.fsckObjects": "false",
        "fetch.negotiationAlgorithm": "noop",
        "core.bigFileThreshold": "1m",  # a larger blob is streamed, never held in memory
        "gc.auto": "0",
        "maintenance.auto": "false",
        "credential.helper": "",
    }
    token = gitlab.gitlab_token.get_secret_value()
    if remote.ours and token and remote.url.startswith("http"):
        encoded = base64.b64encode(f"oauth2:{token}".encode()).decode()
        config["http.extraHeader"] = f"Authorization: Basic {encoded}"
    numbered = {f"GIT_CONFIG_KEY_{n}": key for n, key in enumerate(config)}
    numbered |= {f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(config.values())}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        **numbered,
        "GIT_CONFIG_COUNT": str(len(config)),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ALLOW_PROTOCOL": ":".join(sorted(SCHEMES)),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_SSH_COMMAND": _ssh(settings),
        "LC_ALL": "C",
    }


def translated(words: str, remote: Remote, ref: str | None) -> Retry | Reject:
    """The last words of git as what they mean; what is not known may pass."""
    for pattern, sentence in REFUSALS:
        if re.search(pattern, words, re.IGNORECASE):
            return Reject(sentence.format(url=remote.url, ref=ref), evidence=words.strip()[-1000:])
    last = words.strip().splitlines()[-1] if words.strip() else "git said nothing"
    return Retry(f"{remote.host} does not give the repository now: {last}")


def _ssh(settings: SourceSettings) -> str:
    """How git calls ssh: never asking, with the deploy key alone where there is one, and only to known hosts."""
    command = ["ssh", "-oBatchMode=yes", "-oStrictHostKeyChecking=yes"]
    for name, path, options in (
        ("CLONE_SSH_KEY", settings.clone_ssh_key, ["-oIdentitiesOnly=yes", "-i"]),
        ("CLONE_KNOWN_HOSTS", settings.clone_known_hosts, None),
    ):
        if path is None:
            continue
        if not Path(path).is_file():
            raise Reject(f"{name} names {path}, and there is no such file")
        command += [*options, str(path)] if options else [f"-oUserKnownHostsFile={path}"]
    return shlex.join(command)
