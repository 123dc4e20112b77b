"""Commands that no script may hold, as a table of patterns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from shared.ci.predefined import GITLAB, SETTABLE
from shared.ci.rules import reason
from shared.ci.secrets import prints_secret, secret_in, sends_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHOWN = 80

_DOWNLOAD = r"(?:curl|wget|fetch)\b"
_SHELL = r"(?<![\w./-])(?:[\w./-]{0,60}/)?(?:sh|bash|zsh|dash|ash|ksh|python[\d.]*|perl|ruby|node|php)\b"
_START = r"(?:^|[;&|(`\"']|\b(?:do|then|else|sudo|command|exec|busybox|nohup|time)\b)\s*\\?(?:/usr)?(?:/bin/)?"


class CommandRule(NamedTuple):
    """A pattern that no shell command may match."""

    rule: str
    pattern: re.Pattern[str]


def _row(rule: str, text: str) -> CommandRule:
    return CommandRule(rule, re.compile(text, re.IGNORECASE))


COMMAND_RULES: tuple[CommandRule, ...] = (
    _row("policy-download-to-shell", rf"{_DOWNLOAD}[^;\n]{{0,1000}}\|\s*(?:sudo\s+)?(?:-\S+\s+)*{_SHELL}"),
    _row("policy-download-to-shell", rf"(?:{_SHELL}|\bsource|(?:^|\s)\.)\s+(?:-\S+\s+)*<\(\s*{_DOWNLOAD}"),
    _row("policy-download-to-shell", rf"(?:\beval|{_SHELL}\s+-\w*[ce])\s+[\"']?(?:\$\(|`)\s*{_DOWNLOAD}"),
    _row("policy-download-to-shell", rf"{_SHELL}\s+(?:-\S+\s+)*<<<\s*[\"']?(?:\$\(|`)\s*{_DOWNLOAD}"),
    _row("policy-prints-environment", r"\bprintenv\b|\bcompgen\s+-(?:e|v|A\s)"),
    _row("policy-prints-environment", rf"{_START}env\s*(?:-0\s*|--null\s*)?(?:$|[;&|>)`\"'])"),
    _row("policy-prints-environment", rf"{_START}(?:set|export)\s*(?:$|[;&|>)\"'])"),
    _row("policy-prints-environment", rf"{_START}(?:export\s+-p|declare\s+-[px]|typeset\s+-[px])"),
    _row("policy-prints-environment", r"/proc/(?:self|thread-self|\$\$|\$\w+|\$\{\w+\}|\d+|\*)/environ"),
    _row(
        "policy-prints-environment",
        r"print\w{0,10}\s{0,10}\(\s*(?:dict\(|str\(|repr\(|json\.dumps\(|sorted\()?\s*(?:os\.)?environ\b\s*(?:\)|\.items)"
        r"|console\.\w+\(\s*(?:JSON\.stringify\(\s*)?process\.env\s*[,)]|\b(?:puts|print|pp?)\s*\(?\s*(?-i:ENV)\b"
        r"|print\s+[^;]{0,40}%ENV\b|(?:print_r|var_dump)\(\s*(?:\$_ENV|\$_SERVER|getenv\(\s*\))|\bin\s+ENVIRON\b|\$\{!\w*[*@]\}",
    ),
    _row("policy-privileged", r"\s--privileged\b|--security[-_=]insecure\b|/docker\.sock\b"),
)
PRIVILEGED_IMAGE = re.compile(r"(?:^|/)docker:[\w.-]*dind|[:-]dind\b")
SECRET_USED = re.compile(r"\$\{?\w*(?:TOKEN|PASSWORD|SECRET|_KEY)")
_XTRACE = re.compile(rf"{_START}set\s+(?:-\w*x|-o\s+xtrace)|\b(?:ba)?sh\s+-\w*x\b", re.IGNORECASE)
_ASSIGNED = re.compile(r"(?:^|[;&|(\s])(CI\w*|GITLAB_\w+)=")

_URL = r"https?://\S+?/(?P<last>[\w.+-]+)[\"']?(?=\s|$|[;&|])"
_BEFORE = r"[^\n;&|]{0,500}?"
_SAVED = re.compile(
    rf"\bcurl\b{_BEFORE}(?:\s-\w*o\s*|--output[ =]|>\s*)[\"']?(?P<curl>[\w./-]+)"
    rf"|\b(?:wget|fetch)\b{_BEFORE}(?:\s-\w*[oO]\s*|--output-document[ =]|>\s*)[\"']?(?P<wget>[\w./-]+)"
    rf"|{_DOWNLOAD}{_BEFORE}{_URL}"
)
_VERIFIED = re.compile(r"\b(?:sha\d*sum|shasum|gpg|cosign|minisign|openssl\s+dgst)\b")


def objections(command: str, *, secrets_near: bool) -> Iterator[tuple[str, str]]:
    """Rule and sentence for what is wrong with one command; each rule once."""
    shown = command.strip()[:SHOWN]
    hits = [row.rule for row in COMMAND_RULES if row.pattern.search(command)]
    if prints_secret(command) or (secrets_near and _XTRACE.search(command)):
        hits.append("policy-prints-environment")
    if sends_secret(command):
        hits.append("policy-sends-secret")
    if any(name in GITLAB - SETTABLE for name in _ASSIGNED.findall(command)):
        hits.append("policy-protected-variable")
    if secret_in(command):
        hits, shown = [*hits, "policy-secret"], f"{shown[:12]}…"
    for rule in dict.fromkeys(hits):
        yield rule, f"{shown!r}: {reason(rule)}"


def downloaded_and_run(commands: Sequence[str]) -> list[int]:
    """The numbers of the commands that run a file which one of them downloads and none of them verifies."""
    text = "\n".join(commands)
    if not re.search(_DOWNLOAD, text) or _VERIFIED.search(text):
        return []
    names = {match["curl"] or match["wget"] or match["last"] for match in _SAVED.finditer(text)}
    files = "|".join(re.escape(name.removeprefix("./")) for name in names if name and name != "/dev/null")
    if not files:
        return []
    run = re.compile(
        rf"(?:^|[;&|(\s])(?:{_SHELL}\s+(?:-\S+\s+)*|(?:source|\.)\s+|(?=/|\./))[\"']?(?:\./)?(?:{files})(?=$|[\s;&|)\"'])"
    )
    return [number for number, command in enumerate(commands) if run.search(command)]
