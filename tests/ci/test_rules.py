"""The table of rules: the docs have it, every finding is in it, and findings keep their place and their severity."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from shared.ci import schema
from shared.ci.document import parse
from shared.ci.finding import Finding, with_line
from shared.ci.lint import STRICT, check, check_gitlab, errors
from shared.ci.rules import RULES, as_markdown
from shared.events import Analysis
from tests.ci.pipelines import DOCKERFILE, PIPELINE, REGISTRY, files
from tests.ci.test_policy import BREAKS, LEAKS, with_command
from tests.ci.valid import VALID

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "checker.md"
# Rules that give an error or a warning, by what is known (docs/checker.md).
EITHER = {"include-missing", "yaml-duplicate-key", *STRICT}


def test_the_docs_have_the_table() -> None:
    """docs/checker.md lists exactly the rules of the code, in its words (python -m shared.ci.rules prints them)."""
    assert PAGE.read_text().endswith(as_markdown() + "\n")


def test_every_rule_that_the_code_names_is_in_the_table_and_the_other_way() -> None:
    """No finding has an id that the table does not explain, and the table explains no id that nothing finds."""
    named: set[str] = set()
    for path in (ROOT / "shared" / "ci").glob("*.py"):
        if path.name != "rules.py":
            texts = [n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)]
            named |= {text for text in texts if isinstance(text, str) and text in RULES}
    assert named == set(RULES)


def place_is_inside(finding: Finding, pipeline: str, dockerfile: str) -> bool:
    """Whether the finding's line is one of its file's, and its rule and severity are the table's."""
    text = dockerfile if finding.file == "Dockerfile" else pipeline
    known = finding.rule in EITHER or finding.severity == RULES[finding.rule].severity
    return known and 1 <= finding.line <= max(1, len(text.split("\n"))) and finding.column >= 1


DAMAGES = ["", "\t", ":", "- ", "'", "\n", "{", "*x", "&y ", "#", "\\", "$", "[", "!reference [a]", "<<: "]
SOURCES = [PIPELINE, *VALID.values()]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(SOURCES), st.data())
def test_findings_of_a_damaged_file_point_into_it(source: str, data: st.DataObject) -> None:
    """One place of any valid pipeline replaced by something harmful: no crash, and each finding is inside the file."""
    place = data.draw(st.integers(0, len(source) - 1))
    broken = source[:place] + data.draw(st.sampled_from(DAMAGES)) + source[place + data.draw(st.integers(0, 3)) :]
    pair = files(broken)
    known = Analysis(language="python", manifests=("pyproject.toml",), ports=(1,))
    for finding in check(pair, registry=REGISTRY, analysis=known):
        assert place_is_inside(finding, broken, DOCKERFILE), finding
        assert str(finding) in with_line(finding, pair)


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet="FROM COPY RUN ARG USER EXPOSE\n\\\"'$([{#=/.<-as0", max_size=120))
def test_findings_of_any_dockerfile_point_into_it(dockerfile: str) -> None:
    """Whatever stands in the Dockerfile, each finding is on one of its lines."""
    for finding in check(files(dockerfile=dockerfile), registry=REGISTRY):
        assert place_is_inside(finding, PIPELINE, dockerfile), finding


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 300), st.sampled_from(["x", "always", "1 day", "/a/", ""])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "if", "job"]), inner)),
    max_leaves=5,
)
WHOLE = Draft7Validator(schema._schema())
KEYWORDS = sorted(schema._schema()["definitions"]["job_template"]["properties"])


def without_empty(value: object) -> object:
    """The value without keywords that have nothing in them, which GitLab takes as not written."""
    return {k: without_empty(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*KEYWORDS, "unknown"]), VALUES, min_size=1, max_size=3))
def test_what_the_schema_refuses_is_never_accepted(job: dict[str, object]) -> None:
    """A job that GitLab's own schema does not allow gives an error, whatever else it holds."""
    document = {"a": {"script": ["x"], **job}}
    refused = not WHOLE.is_valid(without_empty(document))
    said = errors(check_gitlab(parse(json.dumps(document))))
    assert said or not refused, document


@pytest.mark.parametrize("source", [*BREAKS.values(), *map(with_command, LEAKS.values())])
def test_the_severity_is_the_tables(source: str) -> None:
    """What the policy finds is of the severity that the docs promise."""
    for finding in check(files(source), registry=REGISTRY):
        assert place_is_inside(finding, source, DOCKERFILE), finding
