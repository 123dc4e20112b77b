"""What no repair may do: delete, skip, loosen or allow to fail any job, whoever proposes it (design, section 5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shared.ci.document import Document, parse
from shared.ci.expressions import objection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.events import Files

_JOB_NAME = re.compile(r"^([\w.][\w.-]*):", re.MULTILINE)
# What makes a command succeed although it failed, or look at less.
_SOFTENERS = re.compile(
    r"\|\|\s*(?:true|:|exit\s+0|echo|/bin/true)|;\s*(?:true|:|exit\s+0)\s*(?:$|[\"'])|\bset\s+\+e|\bexit\s+0\b"
    r"|--exit-zero\b"
    r"|--exit-code[= ]0\b|-DskipTests|-Dmaven\.test\.skip|--passWithNoTests|--deselect\b|--ignore(?:=|\s)|--no-verify\b"
    r"|-Dmaven\.test\.failure\.ignore|continue-on-error|-x\s+test\b|--skip[-_]\w+|--maxfail\b|\bwhen:\s*(?:never|manual)"
    r"|--no-fail\b|--soft-fail\b|-k\s+[\"']?not\b|--testPathIgnorePatterns|--severity-threshold|--ignore-unfixed",
    re.MULTILINE,
)
# Commands that prepare; one may take the other's place. Everything else that a job ran, it must run after a repair.
_PREPARING = frozenset(
    {"apk", "apt", "apt-get", "bash", "cat", "cd", "chmod", "command", "corepack", "cp", "curl", "dnf", "echo", "exit"}
    | {"export", "gem", "mkdir", "mv", "pip", "pip3", "printf", "pwd", "rm", "set", "sh", "source", "test", "true"}
    | {"wget", "which", "yum", ":", "[", ".", "npm install", "npm ci", "npm i", "yarn install", "pnpm install"}
    | {"bundle install", "bundle config", "poetry install", "uv sync", "uv pip", "uv venv", "yarn", "npm config"}
)
_WRAPPERS = re.compile(
    r"^(?:(?:sudo|time|npx|env|bundle exec|poetry run|uv run|(?:npm|yarn|pnpm) (?:run|exec)(?: --)?)\s+)+"
)
_WITH_SUBCOMMAND = frozenset({"npm", "yarn", "pnpm", "bundle", "poetry", "uv", "go", "cargo", "dotnet", "make", "mvn"})
_SKIPPING = ("on_failure", "manual", "never", "delayed")


def loosens(before: Files, after: Files) -> str | None:
    """One sentence that says how `after` weakens the pipeline, or None where it does not."""
    softer = _softened(before.pipeline, after.pipeline) or _softened(before.dockerfile, after.dockerfile)
    if softer:
        return f"it adds {softer!r}, which hides failures"
    old, new = parse(before.pipeline), parse(after.pipeline)
    if not new.readable:
        return "it is not readable as YAML"
    if not old.readable:
        gone = set(_JOB_NAME.findall(before.pipeline)) - set(_JOB_NAME.findall(after.pipeline))
        return f"it deletes {', '.join(sorted(gone))}" if gone else _allowing(old, new)
    return next(_weaker(old, new), None)


def _softened(before: str, after: str) -> str | None:
    """The first softener that the new text has more often than the old one."""
    known, found = _SOFTENERS.findall(before), _SOFTENERS.findall(after)
    return next((word.strip() for word in found if found.count(word) > known.count(word)), None)


def _weaker(old: Document, new: Document) -> Iterator[str]:
    for name, job in old.resolved.items():
        if name not in new.resolved:
            yield f"it deletes job {name}"
        else:
            yield from _weaker_job(name, job, new.resolved[name])
    allowing = _allowing(old, new)
    if allowing:
        yield allowing
    if old.root.get("workflow") != new.root.get("workflow"):
        yield "it changes when pipelines run (workflow)"


def _weaker_job(name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    if new.get("when") != old.get("when") and new.get("when") in _SKIPPING:
        yield f"job {name} gets when: {new['when']}"
    for key in ("rules", "only", "except"):
        if new.get(key) != old.get(key) and not _was_wrong(old.get(key)):
            yield f"it changes when job {name} runs ({key})"
    gone = _programs(old) - _programs(new) - _PREPARING
    if gone:
        yield f"job {name} no longer runs {', '.join(sorted(gone))}"
    if old.get("script") and not new.get("script"):
        yield f"job {name} loses its script"


def _allowing(old: Document, new: Document) -> str | None:
    """Whether a job may fail that might not before."""
    for name, job in new.resolved.items():
        rules = [rule for rule in job.get("rules") or [] if isinstance(rule, dict)]
        allowed = any(place.get("allow_failure") for place in (job, *rules))
        if allowed and job.get("allow_failure") != old.resolved.get(name, {}).get("allow_failure"):
            return f"job {name} is allowed to fail"
    return None


def _was_wrong(rules: Any) -> bool:
    """Whether a rule's expression could not be read, so that changing it is a repair."""
    entries = rules if isinstance(rules, list) else []
    return any(isinstance(r, dict) and isinstance(r.get("if"), str) and objection(r["if"]) for r in entries)


def _programs(job: dict[str, Any]) -> set[str]:
    """What the commands of a job's script run."""
    return {
        word
        for line in _lines(job.get("script"))
        for part in re.split(r"&&|\|\||[;|\n]", line)
        if (word := _program(part))
    }


def _program(command: str) -> str:
    """What a command runs: its program, a Python module, or the program and its subcommand."""
    module = re.search(r"\bpython[\d.]*\s+-m\s+([\w.]+)", command)
    if module:
        return module[1]
    plain = _WRAPPERS.sub("", " ".join(word for word in command.split() if not re.match(r"\w+=", word)))
    words = plain.split()
    if len(words) > 1 and words[0] in _WITH_SUBCOMMAND:
        return f"{words[0]} {words[1]}"
    return words[0].rsplit("/", 1)[-1] if words else ""


def _lines(script: Any) -> Iterator[str]:
    if isinstance(script, list):
        for item in script:
            yield from _lines(item)
    elif isinstance(script, str):
        yield script
