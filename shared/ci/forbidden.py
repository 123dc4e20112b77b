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

_DOWNLOAD = r"(?:curl|wget|fetch|aria2c)\b"
_PATH = r"(?<![\w./-])(?:[\w./-]{0,60}/)?"
_SH = rf"{_PATH}(?:sh|bash|zsh|dash|ash|ksh)\b"
_INTERPRETER = rf"{_PATH}(?:python[\d.]*|perl|ruby|node|php)\b"
_SHELL = rf"(?:{_SH}|{_INTERPRETER})"
# What a shell may be started by, with the options and numbers of that.
_WRAPPED = (
    r"(?:(?:\S{0,20}/)?(?:sudo|env|exec|command|nohup|time|nice|busybox|xargs|timeout|stdbuf)\s+"
    r"(?:-\S+\s+|\w+=\S*\s+|\d\S*\s+|\{\}\s+)*){0,4}"
)
_PIPED = rf"\|&?\s*[({{]?\s*{_WRAPPED}"
_END = r"\s*(?:$|[;&|<>)}`\"']|\d>)"
# A quote begins a command where something is told to run it, not where it is a word.
_TOLD = (
    r"(?:^\[?|[;&|]|\s-\w*[ce]|-c[\"']\s*,|\beval|\b(?:system|popen|run|call|exec\w*|spawn\w*|check_\w+)\(\[?)\s*[\"']"
)
_START = (
    rf"(?:^|[;&|(`{{!]|{_TOLD}|\b(?:do|then|else|if|elif|while|until|sudo|command|builtin|exec|eval|busybox|nohup|time|nice"
    r"|xargs|setsid|timeout\s+\S+)\b)\s*\\?(?:/usr)?(?:/bin/)?"
)
_DECODER = r"\b(?:base64|base32|xxd|openssl|uudecode|rev)\b"
_NAMED = r"\w{0,60}(?:TOKEN|PASSWORD|PASSWD|SECRET|_KEY\b|CREDENTIAL|_JWT)"
_SAYS = r"(?:print|write|dump|log\b|echo|puts|post|request|send|urlopen|fetch)"
# The environment as a whole, in the languages of one-liners.
_WHOLE = (
    r"\bos\.environ\b(?!\s*(?:\[|\.(?:get|setdefault|pop|update)\b))|\bimport\s+environ\s+as\b"
    r"|\bprocess\.env\b(?!\s*[.\[])|(?-i:\bENV)\.(?:each|to_a|to_h|map|inspect|sort|select)"
)


class CommandRule(NamedTuple):
    """A pattern that no shell command may match."""

    rule: str
    pattern: re.Pattern[str]


def _row(rule: str, text: str) -> CommandRule:
    return CommandRule(rule, re.compile(text, re.IGNORECASE))


COMMAND_RULES: tuple[CommandRule, ...] = (
    _row("policy-download-to-shell", rf"{_DOWNLOAD}[^;\n]{{0,1000}}{_PIPED}{_SH}"),
    _row("policy-download-to-shell", rf"{_DOWNLOAD}[^;\n]{{0,1000}}{_PIPED}{_INTERPRETER}(?:\s+-(?=\s|$)|{_END})"),
    _row("policy-download-to-shell", rf"(?:{_SHELL}|\bsource|(?:^|\s)\.)\s+(?:-\S+\s+)*<\(\s*{_DOWNLOAD}"),
    _row("policy-download-to-shell", rf"(?:\beval|{_SHELL}\s+-\w*[ce])\s+[\"']?(?:\$\(|`)\s*{_DOWNLOAD}"),
    _row(
        "policy-download-to-shell",
        rf"(?:{_SHELL}|\bsource\s+/dev/stdin)\s+(?:-\S+\s+)*<<<\s*[\"']?(?:\$\(|`)\s*{_DOWNLOAD}",
    ),
    _row("policy-download-to-shell", rf"{_SH}[^;&|\n]{{0,100}}<\s*/dev/(?:tcp|udp)/"),
    _row(
        "policy-hidden-command",
        rf"(?:{_DECODER}|\bprintf\b|\bn(?:et)?cat\b|\bnc\b)[^;\n]{{0,1000}}{_PIPED}{_SH}(?:\s+-\w*)*{_END}",
    ),
    _row(
        "policy-hidden-command",
        rf"(?:\beval|{_SHELL}\s+-\w*[ce]|\bsource|(?:^|[;&|(])\s{{0,9}}\.?)\s{{0,9}}[\"']?(?:<\(|\$\(|`)[^)`]{{0,200}}{_DECODER}",
    ),
    _row(
        "policy-hidden-command",
        r"\b(?:exec|eval|compile|Function|system)\s*\([^;\n]{0,300}"
        r"(?:b64decode|fromhex|unhexlify|urlopen|requests\.get|base64|codecs\.|atob\(|unpack)",
    ),
    _row(
        "policy-prints-environment", r"\bprintenv\b|\bcompgen\s+-(?:e|v|A\s)|\bps\s+(?!-)[a-z]{0,8}e[a-z]{0,8}(?:\s|$)"
    ),
    _row("policy-prints-environment", rf"{_START}env(?:\s+(?:-u\s*\w+|--?[\w-]+(?:=\S*)?|\w+=\S*))*{_END}"),
    _row("policy-prints-environment", rf"{_START}(?:set|export|declare|typeset|readonly)(?:\s+-x)?{_END}"),
    _row("policy-prints-environment", rf"{_START}(?:export|readonly|declare|typeset)\s+-p"),
    _row("policy-prints-environment", r"/proc/[^\n]{0,80}?/env(?:iron|[*?\[])"),
    _row(
        "policy-prints-environment",
        r"print\w{0,10}\s{0,10}\(\s*(?:dict\(|str\(|repr\(|json\.dumps\(|sorted\()?\s*(?:os\.)?environ\b\s*(?:\)|\.items)"
        r"|console\.\w+\(\s*(?:JSON\.stringify\(\s*)?process\.env\s*[,)]|\b(?:puts|print|pp?)\s*\(?\s*(?-i:ENV)\b"
        r"|print\s+[^;]{0,40}%ENV\b|(?:print_r|var_dump)\(\s*(?:\$_ENV|\$_SERVER|getenv\(\s*\))|\bin\s+ENVIRON\b|\$\{!\w*[*@]\}",
    ),
    _row("policy-prints-environment", rf"{_SAYS}[^\n]{{0,300}}(?:{_WHOLE})|(?:{_WHOLE})[^\n]{{0,300}}{_SAYS}"),
    _row(
        "policy-prints-environment",
        rf"{_SAYS}[^\n]{{0,300}}(?:\benviron|\bgetenv|\bprocess\.env|(?-i:\bENV))(?:\.get)?[.(\[\"'\s]+{_NAMED}",
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
    rf"|{_DECODER}{_BEFORE}>\s*[\"']?(?P<decoded>[\w./-]+)"
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
    if not re.search(rf"{_DOWNLOAD}|{_DECODER}", text) or _VERIFIED.search(text):
        return []
    names = {match["curl"] or match["wget"] or match["decoded"] or match["last"] for match in _SAVED.finditer(text)}
    files = "|".join(re.escape(name.removeprefix("./")) for name in names if name and name != "/dev/null")
    if not files:
        return []
    run = re.compile(
        rf"(?:^|[;&|(\s])(?:{_SHELL}\s+(?:-\S+\s+)*|(?:source|\.)\s+|(?=/|\./))[\"']?(?:[\w.-]*/)*(?:{files})(?=$|[\s;&|)\"'])"
    )
    return [number for number, command in enumerate(commands) if run.search(command)]
