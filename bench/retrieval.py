"""Retrieval measured: how often the first template is right, and one of the first three, on labelled queries.

`python -m bench.retrieval [--sizes]`; with --sizes also milliseconds at 1 000 and 10 000 templates in a real Chroma.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from greenrun import embedded
from services.retriever import decide
from shared.adapters.templates import ChromaTemplates
from shared.events import Analysis, Dependency, Template
from shared.settings import ChromaSettings

LABELLED = Path(__file__).parent / "data" / "retrieval.json"
AIMS = {"first": 0.96, "first three": 1.0}


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


async def sizes(counts: list[int]) -> None:
    """Print the milliseconds of one retrieval, the ranking included, in stores of these sizes."""
    templates, queries = library()
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="greenrun-bench-") as folder:
            async with embedded.chroma(Path(folder)) as port:
                settings = ChromaSettings(chromadb_host="127.0.0.1", chromadb_port=port, chromadb_timeout=60)
                async with ChromaTemplates.connect(settings) as store:
                    for number in range(count):
                        one = templates[number % len(templates)]
                        await store.put(one.model_copy(update={"id": f"{one.id}_{number}"}))
                    times, right = [], 0
                    for analysis, accepted in queries:
                        began = time.perf_counter()
                        ranked = decide.rank(await store.find(decide.wanted(analysis)), analysis)
                        times.append((time.perf_counter() - began) * 1000)
                        right += ranked[0][0].id.rpartition("_")[0] in accepted
        spread = f"p50 {statistics.median(times):.1f} ms, max {max(times):.1f} ms"
        print(f"{count:7} templates: {spread}; first right {right} of {len(queries)}")


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
        asyncio.run(sizes([1_000, 10_000]))


if __name__ == "__main__":
    main()
