"""The generator measured: valid files by provider, at the first answer and after repair, and its own time.

`python -m bench.generate` has the recipes write the files of every labelled repository, and times the service beside a
model that answers at once. `--provider NAME` asks that provider, as the environment sets it, about some of them;
`--engine FOLDER` starts the tests' small model for it (scripts/test-tools.sh installs it in .tools/model).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench import corpus
from services.analyzer import excerpts
from services.generator.service import Deps, connect, write
from services.generator.settings import Settings
from shared.ci.lint import check, errors
from shared.errors import GreenrunError
from shared.events import Analysis, FilesGenerated, RunFailed, Submission, TemplateResolved, new_run_id
from shared.ports import Completion, Progress, unheard
from shared.recipes import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shared.events import Round

REGISTRY = "registry.example:5000"
ENGINE = Path(__file__).parents[1] / "tests" / "models" / "engine.py"
ROUNDS = 200


class Instant:
    """A model that answers at once with the recipe's own files: what is left is the service's time."""

    name = "instant"

    def __init__(self, analysis: Analysis) -> None:
        """The answer is ready."""
        files = render(analysis, registry=REGISTRY)
        assert files is not None
        self._answer = json.dumps({"pipeline": files.pipeline, "dockerfile": files.dockerfile})

    async def complete(
        self, _system: str, _prompt: str, _schema: Mapping[str, object], _progress: Progress = unheard
    ) -> Completion:
        """The answer."""
        return Completion(self._answer, self.name)


def by_the_recipes(found: Sequence[Analysis]) -> None:
    """Print how many repositories get valid files, and the milliseconds for one."""
    times, valid, without = [], 0, Counter[str]()
    for analysis in found:
        began = time.perf_counter()
        files = render(analysis, registry=REGISTRY)
        refused = errors(check(files, registry=REGISTRY)) if files else ()
        times.append((time.perf_counter() - began) * 1000)
        valid += files is not None and not refused
        if files is None:
            without[f"{analysis.language}/{analysis.package_manager}"] += 1
    print(f"rules: {valid} of {len(found)} valid; none for {dict(without)}")
    print(f"rules: rendered and checked in p50 {statistics.median(times):.1f} ms, max {max(times):.1f} ms")


async def overhead(analysis: Analysis, contents: Mapping[str, str]) -> None:
    """Print what the service takes beside the model, and how much of that is the checker."""
    deps = Deps(Instant(analysis), REGISTRY)
    whole, checked = [], []
    files = render(analysis, registry=REGISTRY)
    assert files is not None
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await write(asked(analysis), deps, contents)
        middle = time.perf_counter()
        check(files, registry=REGISTRY)
        whole.append((middle - began) * 1000)
        checked.append((time.perf_counter() - middle) * 1000)
    ratio = statistics.median(checked) / statistics.median(whole)
    print(f"service beside the model: p50 {statistics.median(whole):.1f} ms a run, of it the checker {ratio:.2f}")


async def by_a_model(settings: Settings, found: Sequence[tuple[Analysis, Mapping[str, str]]]) -> None:
    """Print how often the provider's first answer is valid, how often one is after repair, and what it cost."""
    first = repaired = fallback = failed = 0
    rounds: list[Round] = []
    async with connect(settings, None) as deps:
        for analysis, contents in found:
            try:
                answer = await write(asked(analysis), deps, contents)
            except GreenrunError as error:
                print(f"    {analysis.language}: {error}")
                failed += 1
                continue
            own = answer.rounds if isinstance(answer, RunFailed) else answer.proposal.rounds
            rounds += own
            accepted = [one.outcome for one in own].index("accepted") if own and own[-1].outcome == "accepted" else -1
            first, repaired = first + (accepted == 0), repaired + (accepted > 0)
            fallback += accepted < 0 and isinstance(answer, FilesGenerated)
            failed += isinstance(answer, RunFailed)
    tokens = sum(one.answer_tokens for one in rounds)
    seconds = sum(one.seconds for one in rounds)
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in Counter(one.outcome for one in rounds).items())
    print(
        f"{settings.llm_provider}: of {len(found)} repositories {first} valid at the first answer, {repaired} after "
        f"repair, {fallback} by the recipes, {failed} not at all; {outcomes}; {tokens} tokens in {seconds:.0f} s"
    )


def asked(analysis: Analysis) -> TemplateResolved:
    """The generator's question without a template."""
    submission = Submission(repo_url="https://gitlab.example/a/b")
    return TemplateResolved(
        run_id=new_run_id(), submission=submission, analysis=analysis, decision="llm-generated", reasons=()
    )


@contextmanager
def engine(packages: str) -> Iterator[str]:
    """The base URL of the small model in this folder."""
    command = [sys.executable, str(ENGINE), packages]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"{process.stdout.readline().strip()}/v1"
        process.stdin.close()


def main() -> None:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", help="ollama, openai or claude-code, with its settings in the environment")
    parser.add_argument("--engine", help="folder with the small model; for the provider openai")
    parser.add_argument("--limit", type=int, default=10, help="how many repositories the provider is asked about")
    given = parser.parse_args()
    found = []
    for row in corpus.rows():
        snapshot = corpus.snapshot(row)
        analysis = corpus.analysis(row)
        found.append((analysis, excerpts.excerpts(snapshot, analysis)))
    by_the_recipes([analysis for analysis, _ in found])
    asyncio.run(overhead(*next(one for one in found if one[0].language == "python")))
    some = found[:: max(1, len(found) // given.limit)][: given.limit]
    if given.engine:
        with engine(given.engine) as url:
            settings = Settings(llm_provider="openai", openai_url=url, openai_model="small")
            asyncio.run(by_a_model(settings, some))
    elif given.provider:
        asyncio.run(by_a_model(Settings(llm_provider=given.provider), some))


if __name__ == "__main__":
    main()
