"""What to do about a failed pipeline: facts in, next event out; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.healer.failure import Failure, shown_before
from services.healer.guard import loosens
from services.healer.knowledge.rights import right_missing
from services.healer.strategies.fix import Fix, unified_diff
from services.healer.strategies.order import repairs_of
from services.healer.table import UNKNOWN
from shared.ci.lint import check, errors
from shared.ci.region import failing_region
from shared.events import Evidence, FilesGenerated, Origin, PipelineFailed, Repair, Rerun, RunFailed
from shared.retry import repairs_since_retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.healer.classify import Diagnosis
    from services.healer.failure import Surroundings
    from shared.ci.region import Line
    from shared.events import Round

RERUN = "run again"
MODEL = "model"
# A diff enters an event that stays under 256 KB, once for each attempt.
DIFF_LIMIT = 8_000
MODEL_TRIES = 3
# What differs from run to run in the same sentence: addresses, ids, durations, times.
_PASSING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{12,64}\b|\b\d{5,}\b|\d+(?:\.\d+)?(?=\s?m?s\b)|\d\d:\d\d(?::\d\d)?")

# The project's own news, and what only a person can grant: reported, never healed by weakening a job.
REPORTED: dict[str, str] = {
    "test_failure": "the project's tests fail; mend the code or the tests, then submit again",
    "lint_failure": "the project's code breaks its lint rules; mend the code, then submit again",
    "vulnerability_found": "a scanner found vulnerabilities; update what it names, then submit again",
    "auth": "access was refused; give the account or token the right that the evidence names, then retry the run",
}
# What looks flaky or infrastructural gets one run again without a change before anything is spent on a repair.
RERUN_ONCE = frozenset({"runner_system_failure", "rate_limit", "tls_network_error", "service_connection", "disk_full"})
# What a person should do where no repair is known, by class.
ADVICE: dict[str, str] = {
    "image_not_found": "push the image to the registry, or name one that exists",
    "tls_network_error": "use an image that has what is installed at run time, or give the runner its mirror and CA",
    "service_connection": "check that the service is declared in the job and reachable under its alias",
    "missing_command": "use an image that has the tool, or install it in before_script",
    "build_failure": "mend the build, or the toolchain's version in image and Dockerfile",
    "permission_error": "mend the file's mode or the user in the Dockerfile, or the registry's rights",
    "timeout_error": "raise the job's timeout, add a cache, or split the job",
    "artifact_missing": "mend the artifact's path in the job that makes it, or the needs of the job that uses it",
    "yaml_syntax": "mend the YAML where GitLab says",
    "invalid_stage": "name one of the declared stages",
    "dependency_resolution": "mend the versions in the manifest or its lockfile",
    "out_of_memory": "give the runner more memory, or the tool a limit",
    "disk_full": "free space on the runner",
    "rate_limit": "wait, or seed from a mirror",
    "runner_system_failure": "look at the runner",
    UNKNOWN: "read the job's log",
}
OUTCOMES: dict[str, str] = {
    "canceled": "the pipeline was canceled on GitLab; retry the run to go on",
    "skipped": "GitLab skipped the pipeline (a [skip ci] in the message, or rules that let nothing run)",
    "no_pipeline": "GitLab made no pipeline for the commit; check that CI is on and that the rules let jobs run",
    "blocked": "the pipeline waits for a person (a manual job); start or remove it on GitLab",
    "stuck": "no runner takes the jobs; start one with the tags they name, or raise STUCK_AFTER, then retry the run",
    "deadline": "the pipeline did not end in time; check that a runner takes its jobs, or raise the time limit",
}


def limit(event: PipelineFailed, allowed: int) -> int:
    """How many repairs the run may have: what the submission asks for, never more than is allowed here."""
    wanted = event.proposal.submission.heal_attempts
    return allowed if wanted is None else min(wanted, allowed)


def ended(event: PipelineFailed, limit: int) -> RunFailed | None:
    """The end of the run where the outcome alone decides it, or all attempts are used."""
    sentence = OUTCOMES.get(event.outcome)
    if sentence and not event.pipeline.yaml_errors:
        return failed(event, f"{event.outcome}: {sentence}", "; ".join(event.pipeline.reasons))
    if limit == 0:
        return failed(
            event, "no repair is allowed for this run; mend what the jobs say", "; ".join(event.pipeline.reasons)
        )
    # A person who retries the run has changed something: what was tried before that is no reason any more.
    if len(_tried_now(event)) >= limit:
        return failed(event, f"{limit} repairs did not make the pipeline green; {_tried(event)}", _story(event))
    return None


def reported(event: PipelineFailed, diagnosis: Diagnosis) -> RunFailed | None:
    """The report for a failure that is never healed."""
    advice = REPORTED.get(diagnosis.error_class)
    if advice is None:
        return None
    right = right_missing(diagnosis.evidence.text) if diagnosis.error_class == "auth" else ""
    needed = f"; what the account or token of the job needs: it {right}" if right else ""
    return failed(event, f"{_what(diagnosis)}: {advice}{needed}", diagnosis.evidence.text, diagnosis.error_class)


def failure_of(event: PipelineFailed, diagnosis: Diagnosis, lines: list[Line], where: Surroundings) -> Failure:
    """The failure as the strategies see it; `lines` are those of the failed job's log."""
    return Failure(
        files=event.proposal.files,
        error_class=diagnosis.error_class,
        evidence=diagnosis.evidence.text,
        job=diagnosis.job,
        lines=tuple(line.text for line in failing_region(lines)),
        command=shown_before([line.text for line in lines], diagnosis.evidence.text),
        analysis=event.proposal.analysis,
        where=where,
    )


def from_rules(event: PipelineFailed, diagnosis: Diagnosis, failure: Failure) -> list[Fix]:
    """The free rerun of what may pass by itself, then the deterministic repairs; in the order to try them."""
    found = repairs_of(failure)
    if diagnosis.error_class in RERUN_ONCE and not _class_was_rerun(event, diagnosis):
        summary = f"{diagnosis.error_class} may pass by itself: the same pipeline runs again, once"
        sure = [fix for fix in found if fix.certain]
        return [*sure, Fix(RERUN, summary, event.proposal.files, rerun=True), *(f for f in found if not f.certain)]
    return found


def objection(
    event: PipelineFailed, diagnosis: Diagnosis, fix: Fix, registry: str, disabled: frozenset[str] = frozenset()
) -> str | None:
    """Why this repair must not be made, or None: not again, not the same files, not weaker, not with errors."""
    before = event.proposal.files
    if fix.rerun:
        if event.pipeline.id is None or event.commit is None:
            return "there is no pipeline to run again"
        tried = _was_tried(event, diagnosis, fix.strategy)
        return "the same pipeline ran again already and failed in the same way" if tried else None
    if fix.strategy != MODEL and _was_tried(event, diagnosis, fix.strategy):
        return "the same repair was followed by the same failure"
    diff = unified_diff(before, fix.files)
    if not diff or _cut(diff) in {repair.diff for repair in event.proposal.repairs}:
        return "the repair changes nothing that was not changed before"
    analysis = event.proposal.analysis
    wrong = errors(check(fix.files, registry=registry, analysis=analysis, disabled=disabled))
    return loosens(before, fix.files) or (f"the checker refuses it: {wrong[0]}" if wrong else None)


def model_may_try(event: PipelineFailed, diagnosis: Diagnosis) -> bool:
    """Whether a model is asked: not again and again about the same failure."""
    same = [r for r in _tried_now(event) if r.strategy == MODEL and _same_failure(r, diagnosis)]
    return len(same) < MODEL_TRIES


def repaired(event: PipelineFailed, diagnosis: Diagnosis, fix: Fix, rounds: Sequence[Round] = ()) -> FilesGenerated:
    """The next attempt with the repair in its history, and what a model was asked for it."""
    proposal = event.proposal
    repair = Repair(
        attempt=event.attempt + 1,
        error_class=diagnosis.error_class,
        job=diagnosis.job,
        evidence=diagnosis.evidence,
        strategy=fix.strategy,
        summary=fix.summary,
        author=fix.author,
        diff=_cut(unified_diff(proposal.files, fix.files)),
    )
    changes = {
        "files": fix.files,
        "repairs": (*proposal.repairs, repair),
        "rounds": (*proposal.rounds, *rounds),
        "rerun": _rerun(event) if fix.rerun else None,
        "origin": _origin(proposal.origin, fix),
        "model": fix.author if fix.strategy == MODEL else proposal.model,
    }
    return FilesGenerated(run_id=event.run_id, attempt=event.attempt + 1, proposal=proposal.model_copy(update=changes))


def _rerun(event: PipelineFailed) -> Rerun | None:
    """The pipeline once more; its newest job now tells later whether GitLab has begun."""
    if event.commit is None or event.pipeline.id is None:
        return None
    newest = max((job.id for job in event.pipeline.jobs), default=0)
    return Rerun(commit=event.commit, pipeline_id=event.pipeline.id, last_job_id=newest)


def given_up(
    event: PipelineFailed, diagnosis: Diagnosis, refusals: Sequence[str], rounds: Sequence[Round] = ()
) -> RunFailed:
    """The end of the run: what failed, what was tried, what a person should do."""
    advice = ADVICE.get(diagnosis.error_class, ADVICE[UNKNOWN])
    why = f"; no further repair: {'; '.join(dict.fromkeys(refusals))}" if refusals else "; no repair is known for it"
    reason = f"{_what(diagnosis)}{why}; {_tried(event)}; what to do: {advice}"
    story = "\n".join(filter(None, [diagnosis.evidence.text, _story(event)]))
    end = failed(event, reason, story, diagnosis.error_class)
    return end.model_copy(update={"rounds": (*end.rounds, *rounds)})


def failed(event: PipelineFailed, reason: str, evidence: str, error_class: str | None = None) -> RunFailed:
    """The run's end with all that was tried."""
    return RunFailed(
        run_id=event.run_id,
        attempt=event.attempt,
        phase="healer",
        reason=reason,
        error_class=error_class,
        evidence=evidence,
        repairs=event.proposal.repairs,
        rounds=event.proposal.rounds,
    )


def _origin(origin: Origin, fix: Fix) -> Origin:
    """Who wrote the files now: a model's repair makes them a model's work in part."""
    if fix.strategy != MODEL:
        return origin
    return "template+model" if origin.startswith("template") else "model"


def _tried_now(event: PipelineFailed) -> tuple[Repair, ...]:
    """The repairs since the run began or a person retried it."""
    return repairs_since_retry(event.proposal.repairs, event.attempt)


def _class_was_rerun(event: PipelineFailed, diagnosis: Diagnosis) -> bool:
    return any(r.strategy == RERUN and r.error_class == diagnosis.error_class for r in _tried_now(event))


def _was_tried(event: PipelineFailed, diagnosis: Diagnosis, strategy: str) -> bool:
    return any(r.strategy == strategy and _same_failure(r, diagnosis) for r in _tried_now(event))


def _same_failure(repair: Repair, diagnosis: Diagnosis) -> bool:
    same = (repair.error_class, repair.job) == (diagnosis.error_class, diagnosis.job)
    return same and _plain(repair.evidence) == _plain(diagnosis.evidence)


def _plain(evidence: Evidence) -> str:
    """The evidence without what differs from run to run: ids, times, addresses."""
    return _PASSING.sub("#", evidence.text)


def _what(diagnosis: Diagnosis) -> str:
    where = f"job {diagnosis.job}" if diagnosis.job else "the pipeline"
    line = f", line {diagnosis.evidence.line}" if diagnosis.evidence.line else ""
    return f"{where} failed with {diagnosis.error_class} ({diagnosis.evidence.text[:160]!r}{line})"


def _tried(event: PipelineFailed) -> str:
    repairs = event.proposal.repairs
    if not repairs:
        return "nothing was tried before"
    return "tried: " + "; ".join(f"{r.error_class} → {r.strategy} ({r.summary[:80]})" for r in repairs)


def _story(event: PipelineFailed) -> str:
    """What failed before and what was done about it, a line for each attempt; a minute's reading."""
    return "\n".join(
        f"attempt {r.attempt}: {f'job {r.job} failed with ' if r.job else ''}{r.error_class} "
        f"({r.evidence.text[:120]}); {r.strategy} by {r.author}: {r.summary[:160]}"
        for r in event.proposal.repairs
    )


def _cut(diff: str) -> str:
    return diff if len(diff) <= DIFF_LIMIT else f"{diff[:DIFF_LIMIT]}\n… cut"
