"""Prompts, the reading of answers, and the proposal; pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared.asking import MAX_ANSWER, object_in
from shared.ci.finding import with_line
from shared.ci.parameters import with_registry
from shared.events import Files, FilesGenerated, Proposal, RunFailed, TemplateResolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from services.generator.story import Story
    from shared.ci.finding import Finding
    from shared.events import Origin

ANSWER_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"pipeline": {"type": "string"}, "dockerfile": {"type": "string"}},
    "required": ["pipeline", "dockerfile"],
    "additionalProperties": False,
}
EVIDENCE_LENGTH = 8_000
SAID = 20


class Unusable(ValueError):  # noqa: N818 - what the answer is
    """The answer holds no two files; its text says why."""


def from_template(event: TemplateResolved, registry: str) -> Files | None:
    """The template's own files, naming this registry; None where one of them is missing."""
    template = event.template
    if template is None or template.pipeline is None or template.dockerfile is None:
        return None
    return with_registry(Files(pipeline=template.pipeline, dockerfile=template.dockerfile), registry)


def contents_of(blob: bytes) -> dict[str, str]:
    """Path → text, as the analyzer kept them."""
    kept = json.loads(blob)
    return {str(path): str(text) for path, text in kept.items()} if isinstance(kept, dict) else {}


def judged(answer: str, wrong: Callable[[Files], Sequence[Finding]]) -> tuple[Files | None, list[str]]:
    """The files of an answer, and what the checker finds wrong, with its lines; None where it holds no two files."""
    try:
        files = read_answer(answer)
    except Unusable as unusable:
        return None, [str(unusable)]
    return files, said(wrong(files), files)


def read_answer(text: str) -> Files:
    """The two files of a model's answer, whatever stands around them; Unusable where it has none."""
    document = object_in(text, ("pipeline", "dockerfile"))
    if document is None:
        long = f"; it is {len(text)} characters long" if len(text) > MAX_ANSWER else ""
        raise Unusable(f"the answer has no JSON object with the keys pipeline and dockerfile{long}")
    return _files(document)


def generated(
    event: TemplateResolved, files: Files, origin: Origin, story: Story, *, model: str | None = None
) -> FilesGenerated:
    """The next event; the origin says what really wrote the files."""
    used = event.template is not None and origin in {"template", "template+model"}
    proposal = Proposal(
        submission=event.submission,
        analysis=event.analysis,
        decision=event.decision,
        origin=origin,
        model=model,
        template_id=event.template.id if event.template and used else None,
        files=files,
        notes=tuple(story.notes),
        rounds=tuple(story.rounds),
    )
    return FilesGenerated(run_id=event.run_id, attempt=event.attempt, proposal=proposal)


def failed(event: TemplateResolved, story: Story) -> RunFailed:
    """Nothing could write the files."""
    language, manager = event.analysis.language, event.analysis.package_manager
    stack = f"the language {language!r}" + (f" with {manager}" if manager else "")
    reason = f"there is no recipe for {stack} and no model gave usable files"
    advice = "set LLM_PROVIDER to a model, or add a template for it"
    refused = [f"answer {n} {one.outcome}: {'; '.join(one.findings)}" for n, one in enumerate(story.rounds, 1)]
    return RunFailed(
        run_id=event.run_id,
        attempt=event.attempt,
        phase="generator",
        reason=f"{reason}; {advice}",
        evidence="\n".join([*story.notes, *refused])[:EVIDENCE_LENGTH],
        rounds=tuple(story.rounds),
    )


def said(findings: Iterable[Finding], files: Files) -> list[str]:
    """The findings with their lines for a model or a note, at most twenty."""
    return [with_line(finding, files) for finding in findings][:SAID]


def _files(document: dict[str, Any]) -> Files:
    texts = {}
    for name in ("pipeline", "dockerfile"):
        text = document[name]
        if not isinstance(text, str) or not text.strip():
            raise Unusable(f"{name} is not a text")
        texts[name] = "".join(c for c in text if c.isprintable() or c in "\n\t").strip() + "\n"
    return Files(pipeline=texts["pipeline"], dockerfile=texts["dockerfile"])
