"""Faults that can be put into the next pipeline: what befalls a job, in the words of the real tools.

Each is an attempt of a job that ends as that failure ends on GitLab; pure but for what it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.gitlab import executor_trace as trace
from sandbox.gitlab.executor_records import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.gitlab.ci_records import CompiledJob
    from sandbox.gitlab.executor_records import Runner, Work

LASTS = -1
DAEMON = "Error response from daemon: "


@dataclass(frozen=True)
class Fault:
    """One kind: what it is, the failure reason that GitLab gives it, and the trace of a job that it befalls.

    `times` is how many attempts of the job it befalls, LASTS where every attempt of the pipeline.
    """

    about: str
    failure_reason: str
    told: Callable[[CompiledJob], str]
    times: int = 1
    exit_code: int | None = None


def _image(job: CompiledJob) -> str:
    return job.image or "registry.example.com/tools/job:latest"


def _host(job: CompiledJob) -> str:
    return _image(job).partition("/")[0]


def _not_pulled(refusal: Callable[[CompiledJob], str]) -> Callable[[CompiledJob], str]:
    def told(job: CompiledJob) -> str:
        warning, error = trace.pull_failed(_image(job), DAEMON + refusal(job))
        body = f"{trace.CLEAR}Using Docker executor with image {_image(job)} ...{trace.RESET}\n{warning}"
        return trace.section("prepare_executor", 'Preparing the "docker" executor', body) + error

    return told


def _script(job: CompiledJob, output: str) -> str:
    """The first command of a job and what it prints; the section stays open."""
    title = 'Executing "step_script" stage of the job script'
    first = next(iter((*job.before_script, *job.script)), "true")
    return trace.begin("step_script", title) + trace.command(first) + output


def _flaky(job: CompiledJob) -> str:
    output = "curl: (56) Recv failure: Connection reset by peer\n"
    return _script(job, output) + trace.end("step_script") + trace.failed(56)


def _timeout(job: CompiledJob) -> str:
    return _script(job, "") + trace.timed_out(job.timeout_seconds)


FAULTS = {
    "image-gone": Fault(
        "the job's image is not in the registry",
        "runner_system_failure",
        _not_pulled(lambda job: f"manifest for {_image(job)} not found: manifest unknown: manifest unknown"),
        times=LASTS,
    ),
    "tls-failure": Fault(
        "the registry's certificate is not trusted",
        "runner_system_failure",
        _not_pulled(
            lambda job: (
                f'Get "https://{_host(job)}/v2/": tls: failed to verify certificate: x509: certificate signed by '
                "unknown authority"
            )
        ),
    ),
    "registry-down": Fault(
        "nothing answers where the registry should be",
        "runner_system_failure",
        _not_pulled(lambda job: f'Get "https://{_host(job)}/v2/": dial tcp {_host(job)}: connect: connection refused'),
    ),
    "runner-lost": Fault(
        "the runner is not heard of any more", "stuck_or_timeout_failure", lambda job: _script(job, "")
    ),
    "timeout": Fault("the job takes longer than its timeout", "job_execution_timeout", _timeout),
    "flaky-once": Fault("a download breaks off once", "script_failure", _flaky, exit_code=56),
    "disk-full": Fault(
        "the runner's disk is full",
        "runner_system_failure",
        _not_pulled(lambda _job: "failed to register layer: write /usr/lib/libc.so.6: no space left on device"),
    ),
}


class Faulty:
    """Implements `executor_records.Runner`: lets faults befall the jobs of another one."""

    def __init__(self, runner: Runner) -> None:
        """Around the runner whose jobs they befall."""
        self._runner = runner

    def opening(self) -> str:
        """That of the runner."""
        return self._runner.opening()

    async def job(self, work: Work) -> Outcome:
        """The fault that the ticket names, else the job."""
        fault = FAULTS.get(work.ticket.fault or "")
        if fault is None:
            return await self._runner.job(work)
        await work.say(trace.note(f"The fault {work.ticket.fault} was asked for; nothing of this job ran."))
        await work.say(trace.opening() + fault.told(work.job))
        return Outcome("failed", fault.failure_reason, fault.exit_code)
