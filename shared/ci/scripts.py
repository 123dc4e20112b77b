"""Scripts that no shell would read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.ci.commands import Script, placed, scripts_of
from shared.ci.finding import PIPELINE, Finding
from shared.ci.needs import listed
from shared.ci.shell import Objection, objection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ci.document import Document

# What only PowerShell or cmd understands, and what runs there.
_OTHER_SHELL = re.compile(
    r"\$env:|(?:^|[\s|({&])(?-i:(?:Write|Get|Set|New|Remove|Invoke|Start|Stop|Test|Copy|Move|Import|Install|Expand|Add|"
    r"Compress|Select|Join|Split|ForEach|Where|Out|Push|Pop|Clear|Rename|Convert\w*|Format|Sort|Wait|Resolve)-[A-Z]\w+)"
    r"|^\s*\$\w+\s*=|^\s*&\s|-ErrorAction|\bchoco\b|(?:^|[\s\"'=\\/])%\w+%|\.(?:exe|bat|ps1|cmd)\b|\b[A-Z]:\\"
    r"|@?\becho off\b|\bif\s+(?:not\s+)?exist\b|^\s*(?:call|xcopy|msbuild)\s|^\s*@?set\s+\"?\w+=|\s/[sSqQ]\b",
    re.MULTILINE | re.IGNORECASE,
)
_OTHER_RUNNER = re.compile(r"\bwin(?:dows|32|64|\b)|pwsh|powershell|nanoserver|servercore", re.IGNORECASE)
_INPUT = re.compile(r"\$\[\[[^\]\n]*\]\]")


def check_scripts(document: Document) -> Iterator[Finding]:
    """One finding for each script that cannot be read as one for sh or bash; PowerShell and cmd are left alone."""
    for script in scripts_of(document):
        text = for_sh(document, script)
        wrong = objection(text) or _glued(script, text)
        if wrong:
            line, column = placed(document, script, wrong.line)
            message = f"{'.'.join(str(part) for part in script.path)}: no shell reads this script: {wrong.message}"
            yield Finding("shell-syntax", "error", PIPELINE, line, column, message)


def _glued(script: Script, text: str) -> Objection | None:
    """The objection to `-make` where `- make` is meant: YAML takes such lines for one text."""
    whole = len(script.items) == 1 and script.items[0][1] == script.path
    glued = whole and re.match(r"-[A-Za-z]\S*", text)
    return Objection(0, f"{glued[0]!r} is no command; a blank is missing after '-'") if glued else None


def for_sh(document: Document, script: Script) -> str:
    """The text of a script for sh or bash, inputs replaced by a word; empty where it is for another shell."""
    text = _INPUT.sub("input", "\n".join(item for item, _ in script.items))
    return "" if _OTHER_SHELL.search(text) or _elsewhere(document, str(script.path[0])) else text


def _elsewhere(document: Document, job: str) -> bool:
    """Whether the job runs on Windows, by its tags and its image."""
    known = document.resolved.get(job) or document.root.get(job)
    tags = listed(known.get("tags")) if isinstance(known, dict) else []
    image = known.get("image") if isinstance(known, dict) else ""
    return bool(_OTHER_RUNNER.search(f"{job} {tags} {image}"))
