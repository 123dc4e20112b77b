"""Retrieval measured: how often the first template is right, and one of the first three, on labelled queries.

`python -m bench.retrieval [--sizes]`; with --sizes also milliseconds, and what is lost, at 1 000, 10 000 and 100 000
templates in a real Chroma.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenrun import embedded
from services.retriever import decide, families
from shared.adapters.templates import ChromaTemplates
from shared.events import Analysis, Dependency, Template
from shared.settings import ChromaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LABELLED = Path(__file__).parent / "data" / "retrieval.json"
AIMS = {"first": 0.96, "first three": 1.0}
COLLECTION = "successful_pipelines"
# As long as the recipes' own.
PIPELINE_BYTES, DOCKERFILE_BYTES = 7_000, 1_500
LEAST = 0.01


def library() -> tuple[list[Template], list[tuple[Analysis, list[str]]]]:
    """The templates, and the queries each with the ids that are right."""
    document = json.loads(LABELLED.read_text())
    templates = [
        Template(
            id=row["id"],
            collection="pipeline_templates",
            language=row["language"],
            framework=_none(row["framework"]),
            version=_none(row["version"]),
            package_manager=_none(row["package_manager"]),
            stages_count=row["stages_count"],
            dependencies=tuple(row["deps"]),
            pipeline="x",
            dockerfile="x" if row["has_docker"] else None,
        )
        for row in document["templates"]
    ]
    return templates, [(_analysis(row), row["accept"]) for row in document["queries"]]


def scores(templates: list[Template], queries: list[tuple[Analysis, list[str]]]) -> dict[str, float]:
    """The share of the queries whose first template is right, and of those with a right one among three."""
    first = three = 0
    for analysis, right in queries:
        ranked = ranking(templates, analysis)
        first += ranked[0] in right
        three += bool(set(ranked[:3]) & set(right))
    return {"first": first / len(queries), "first three": three / len(queries)}


def ranking(templates: list[Template], analysis: Analysis) -> list[str]:
    """The ids, best first, of the templates that the store would give for this repository."""
    languages = set(decide.wanted(analysis).languages)
    near = [template for template in templates if template.language in languages]
    return [template.id for template, _ in decide.rank(near, analysis)]


def _analysis(row: dict[str, Any]) -> Analysis:
    return Analysis(
        language=row["language"],
        framework=_none(row["framework"]),
        release=_none(row["version"]),
        package_manager=_none(row["package_manager"]),
        dependencies=tuple(Dependency(name=name) for name in row["deps"]),
        existing=("Dockerfile",) if row["has_docker"] else (),
    )


def _none(text: str) -> str | None:
    return None if text in {"none", "-"} else text


def variations(templates: list[Template], count: int) -> Iterator[Template]:
    """So many templates: those of the library with other versions, package managers, frameworks and dependencies."""
    chance = random.Random(1)
    known: defaultdict[str, set[str]] = defaultdict(set)
    for template in templates:
        known[template.language] |= set(template.dependencies)
    for number in range(count):
        template = templates[number % len(templates)]
        others = sorted(known[template.language])
        kept = [name for name in template.dependencies if _happens(chance, 0.5)]
        more = chance.sample(others, min(len(others), chance.randint(0, 6)))
        yield template.model_copy(
            update={
                "id": f"bench_{number}",
                "collection": COLLECTION,
                "framework": _one_of(chance, families.FAMILIES, template.framework, 0.4),
                "package_manager": _one_of(chance, families.MANAGERS, template.package_manager, 0.3),
                "version": _near(chance, template.version),
                "dependencies": tuple(sorted({*kept, *more})),
                "pipeline": "x" * PIPELINE_BYTES,
                "dockerfile": template.dockerfile and "x" * DOCKERFILE_BYTES,
            }
        )


def _one_of(chance: random.Random, groups: Sequence[frozenset[str]], name: str | None, share: float) -> str | None:
    """Sometimes another of the same group."""
    group = next((group for group in groups if name in group), None)
    return chance.choice(sorted(group)) if group and _happens(chance, share) else name


def _happens(chance: random.Random, share: float) -> bool:
    return chance.random() < share


def _near(chance: random.Random, version: str | None) -> str | None:
    """Another last number, more often than not."""
    head, dot, last = (version or "").rpartition(".")
    return f"{head}{dot}{chance.randint(0, 20)}" if last.isdigit() and _happens(chance, 0.6) else version


async def sizes(counts: list[int]) -> None:
    """Print, for stores of these sizes, the milliseconds of one retrieval and how good its first template is.

    The time is that of the retriever: find, rank, and get the files of the first. It is as good as can be where its
    score is that of the best of all templates.
    """
    templates, queries = library()
    for count in counts:
        every = list(variations(templates, count))
        with tempfile.TemporaryDirectory(prefix="greenrun-bench-") as folder:
            async with embedded.chroma(Path(folder)) as port:
                settings = ChromaSettings(chromadb_host="127.0.0.1", chromadb_port=port, chromadb_timeout=60)
                async with ChromaTemplates.connect(settings) as store:
                    await store.replace(COLLECTION, "bench_", every)
                    times, lost = [], []
                    for analysis, _ in queries:
                        began = time.perf_counter()
                        ranked = decide.rank(await store.find(decide.wanted(analysis)), analysis)
                        await store.get(ranked[0][0].id, ranked[0][0].collection)
                        times.append((time.perf_counter() - began) * 1000)
                        lost.append(_best(every, analysis) - ranked[0][1].score)
        spread = f"p50 {statistics.median(times):.1f} ms, max {max(times):.1f} ms"
        best = f"the best in {sum(one < LEAST for one in lost)} of {len(lost)}, at most {max(lost):.1f} points below"
        print(f"{count:7} templates: {spread}; {best}")


def _best(templates: list[Template], analysis: Analysis) -> float:
    """The score that ranking everything would give."""
    languages = set(decide.wanted(analysis).languages)
    return max(sum(decide.score(one, analysis).values()) for one in templates if one.language in languages)


def main() -> None:
    """The shares against the aims, the misses by name; with --sizes the milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", action="store_true", help="measure the store as well (minutes)")
    templates, queries = library()
    for name, share in scores(templates, queries).items():
        print(f"{name:12} {100 * share:5.1f} %  aim {100 * AIMS[name]:.0f} %")
    for analysis, right in queries:
        ranked = ranking(templates, analysis)
        if ranked[0] not in right:
            print(
                f"    {analysis.language} {analysis.framework} {analysis.package_manager}: {ranked[:3]}, right: {right}"
            )
    if parser.parse_args().sizes:
        asyncio.run(sizes([1_000, 10_000, 100_000]))


if __name__ == "__main__":
    main()
