"""JUnit reports as GitLab's test report shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from defusedxml import ElementTree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from xml.etree.ElementTree import Element

KINDS = {"failure": "failed", "error": "error", "skipped": "skipped"}


def suite(name: str, paths: Sequence[Path]) -> dict[str, Any]:
    """All cases of a job's reports with their counts. Raises ElementTree.ParseError where a file is no XML."""
    cases = [_case(one) for path in paths for one in ElementTree.parse(path).iter("testcase")]
    counts = {status: sum(case["status"] == status for case in cases) for status in ("success", *KINDS.values())}
    return {
        "name": name,
        "total_time": round(sum(case["execution_time"] for case in cases), 6),
        "total_count": len(cases),
        "success_count": counts["success"],
        "failed_count": counts["failed"],
        "skipped_count": counts["skipped"],
        "error_count": counts["error"],
        "suite_error": None,
        "test_cases": cases,
    }


def _case(element: Element) -> dict[str, Any]:
    found = next((child for child in element if child.tag in KINDS), None)
    try:
        seconds = float(element.get("time") or 0)
    except ValueError:
        seconds = 0.0
    return {
        "status": "success" if found is None else KINDS[found.tag],
        "name": element.get("name"),
        "classname": element.get("classname"),
        "file": element.get("file"),
        "execution_time": seconds,
        "system_output": None if found is None else (found.text or found.get("message")),
        "stack_trace": None,
    }
