"""What a secret looks like in clear, and what prints one."""

from __future__ import annotations

import re

# Forms that only real tokens have; the issuers publish them for secret scanning.
_TOKENS = re.compile(
    r"glpat-[\w-]{20}|gh[pousr]_\w{36}|github_pat_\w{22}|AKIA[0-9A-Z]{16}|AIza[\w-]{35}|xox[abprs]-[\w-]{10,}"
    r"|npm_\w{36}|pypi-AgE[\w-]{20}|sk-(?:ant-|proj-)?[\w-]{20,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.|hvs\.\w{20}"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----",
    re.ASCII,
)
_PASSWORD_IN_URL = re.compile(r"\bhttps?://[^\s:/@$]{1,64}:[^\s:/@$]{3,64}@")
_SECRET_NAME = re.compile(r"(?:TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|PRIVATE_KEY|CREDENTIALS?)(?:_|$)", re.IGNORECASE)
# Long, with letters and digits: no word that a test database has as its password.
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[a-zA-Z])[\w+/=.!@#%^&*-]{16,}", re.ASCII)

_VARIABLE = r"\$\{?\w{0,60}(?:TOKEN|PASSWORD|PASSWD|SECRET|_KEY\b|CREDENTIAL|_JWT|CI_REPOSITORY_URL)"
_PRINTED = re.compile(
    rf"(?:^|[\s(`])(?:(?:echo|printf)\b|(?:cat|tee)\b[^;&|<]{{0,100}}<<<)[^;&|]{{0,1000}}{_VARIABLE}"
    r"[^;&|]{0,1000}(?P<rest>\|[^;&]{0,1000}|)",
    re.ASCII,
)
_TO_FILE = re.compile(r">>?\s*(?!/dev/(?:stdout|stderr|tty)|&)[\"']?[\w~$./{]")
_SECRET = re.compile(_VARIABLE, re.ASCII)
# Programs that talk to others, and a host that is written out: an address, or for some of them a bare name.
_CALLED = r"(?:^|[\s;&|(`\"'/])"
_DOMAIN = r"(?:(?:[a-z0-9-]+\.)+[a-z]{2,}|\d{1,3}(?:\.\d{1,3}){3})"
_SENDS = re.compile(
    rf"{_CALLED}(?:curl|wget|https?|xh)\s.{{0,2000}}?(?://(?:[^\s/@]*@)?{_DOMAIN}|\s[\"']?{_DOMAIN}[/:?])"
    rf"|{_CALLED}(?:nc|ncat|netcat|socat|telnet|nslookup|dig|host|ping|ssh|scp|s?ftp|rsync)\s.{{0,2000}}?\b{_DOMAIN}"
    r"|/dev/(?:tcp|udp)/",
    re.IGNORECASE | re.DOTALL,
)
_TALKS = re.compile(
    rf"{_CALLED}(?:curl|wget|https?|xh|nc|ncat|netcat|socat|telnet|nslookup|dig|host|ping|ssh|scp|s?ftp|rsync)\s|/dev/(?:tcp|udp)/"
)
# A secret as the user or the password of an address whose host is written out.
_IN_ADDRESS = re.compile(rf"://[^\s/@]{{0,200}}{_VARIABLE}[^\s/@]{{0,200}}@{_DOMAIN}", re.ASCII)
_WRITTEN = re.compile(r"(?:>>?|\btee\b(?:\s+-a)?)\s*[\"']?(?P<file>[\w./-]+)")
_PAIR = re.compile(r"(?<!\S)(\w+)=(\"[^\"]*\"|'[^']*'|\S*)", re.ASCII)
_SUBSTITUTION = re.compile(r"\$\([^()]*\)")


def secret_in(text: str, name: str = "") -> bool:
    """Whether a text, or the value of a variable of that name, is or holds a secret in clear."""
    if _TOKENS.search(text) or _PASSWORD_IN_URL.search(text):
        return True
    return bool(_SECRET_NAME.search(name.strip())) and "$" not in text and bool(_RANDOM.fullmatch(text.strip()))


def environment_of(rest: str) -> list[tuple[str, str]]:
    """Name and value of each pair of an ENV or ARG, the old form `ENV NAME value` too."""
    pairs = [(match[1], match[2].strip("\"'")) for match in _PAIR.finditer(rest)]
    name, blank, value = rest.partition(" ")
    return [(name, value.strip())] if blank and "=" not in name else pairs


def masked(text: str) -> str:
    """The text with a variable's name in the place of what only a secret looks like."""
    return _PASSWORD_IN_URL.sub("https://${REMOVED_SECRET}@", _TOKENS.sub("${REMOVED_SECRET}", text))


def sends_secret(command: str) -> bool:
    """Whether a command gives a variable named like a secret to a host that is written out, not in a variable."""
    if _IN_ADDRESS.search(command):
        return True
    return bool(_TALKS.search(command) and _SECRET.search(command) and _SENDS.search(command))


def prints_secret(command: str) -> bool:
    """Whether a command prints a variable named like a secret; giving it to standard input or a file does not."""
    command = _SUBSTITUTION.sub("", command)
    for printed in _PRINTED.finditer(command):
        kept = "stdin" in printed["rest"] or _TO_FILE.search(printed[0])
        if not kept:
            return True
    return False


def secret_files(command: str) -> list[str]:
    """The files into which a command that names a secret's variable writes."""
    return [match["file"] for match in _WRITTEN.finditer(command)] if _SECRET.search(command) else []


def in_artifact(file: str, paths: list[str]) -> bool:
    """Whether a file is among the artifacts of these paths; a pattern counts up to its first wildcard."""
    name = file.removeprefix("./")
    for path in (one.removeprefix("./") for one in paths):
        start = re.split(r"[*?\[$]", path)[0]
        inside = name.startswith(start) if start != path else name == path or name.startswith(f"{path.rstrip('/')}/")
        if inside or not start:
            return True
    return False
