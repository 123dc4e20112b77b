"""The checker measured: milliseconds for a file, single mistakes found on their line, false alarms on valid pipelines.

`python -m bench.checker [FILE...]`; files given are valid pipelines of others, on which errors are false alarms.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from greenrun.lint import Options, lint
from shared.ci.document import parse
from shared.ci.lint import check, check_gitlab, errors
from tests.ci import pipelines, test_gitlab_rules, test_lint
from tests.ci.valid import VALID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

AIM_MILLISECONDS = 15.0
ROUNDS = 200


def milliseconds(check_once: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
    """Processor time: the median, and that within which 99 of 100 rounds end; after one to warm up."""
    check_once()
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        check_once()
        taken.append((time.process_time() - start) * 1000)
    return statistics.median(taken), sorted(taken)[int(len(taken) * 0.99)]


def nine_stages() -> tuple[float, float]:
    """Median and 99th percentile for a nine-stage pipeline with its Dockerfile, all rules."""
    return milliseconds(lambda: check(pipelines.files(), registry=pipelines.REGISTRY))


def mistakes() -> Iterator[tuple[str, bool]]:
    """Each single mistake in a nine-stage file and in an ordinary one, and whether an error stands on its line."""
    for name, one in test_lint.MISTAKES.items():
        broken = pipelines.PIPELINE.replace(one.old, one.new, 1)
        said = errors(check(pipelines.files(broken), registry=pipelines.REGISTRY))
        yield name, (one.rule, pipelines.line_of(broken, one.mark)) in [(f.rule, f.line) for f in said]
    for old, new, rule in test_gitlab_rules.MISTAKES:
        source = test_gitlab_rules.PIPELINE
        first = source[: source.index(old)].count("\n") + 1
        said = errors(check_gitlab(parse(source.replace(old, new, 1))))
        yield f"{old!r} is {new!r}", any(f.rule == rule and 0 <= f.line - first <= new.count("\n") for f in said)


def alarms(paths: Sequence[Path]) -> Iterator[str]:
    """The errors that the checker finds in valid pipelines."""
    for name, text in VALID.items():
        yield from (f"{name}: {finding}" for finding in errors(check_gitlab(parse(text))))
    for path in paths:
        yield from (str(finding) for finding in errors(lint(str(path), Options(tools=False)).findings))


def report(paths: Sequence[Path] = ()) -> bool:
    """Print what was measured; whether every aim is met."""
    median, slow = nine_stages()
    judged = list(mistakes())
    missed = [name for name, ok in judged if not ok]
    false = list(alarms(paths))
    print(f"a nine-stage file: {median:.1f} ms, 99 of 100 within {slow:.1f} ms (aim: {AIM_MILLISECONDS:.0f} ms)")
    print(f"single mistakes found on their line: {len(judged) - len(missed)} of {len(judged)}")
    print(f"errors in {len(VALID) + len(paths)} valid pipelines: {len(false)}")
    for line in [*(f"  missed: {name}" for name in missed), *(f"  false: {line}" for line in false)]:
        print(line)
    return median <= AIM_MILLISECONDS and not missed and not false


def main() -> None:
    """Exit code 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="valid pipelines of others")
    raise SystemExit(not report(parser.parse_args().files))


if __name__ == "__main__":
    main()
