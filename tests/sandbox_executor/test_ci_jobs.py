"""What the compiler makes of a document that is well formed."""

from __future__ import annotations

import pytest

from sandbox.gitlab.ci import CompiledJob, Context, compile_pipeline
from sandbox.gitlab.ci_duration import duration, spoken
from sandbox.gitlab.ci_expression import evaluate
from sandbox.gitlab.ci_glob import matches

from .conftest import jobs_of

CONTEXT = Context(
    "feature/x",
    "main",
    ("app.py", "src/deep/x.rb", "Dockerfile", "ci/jobs.yml", "ci/more.yml"),
    ("app.py",),
    {"CI_REGISTRY": "r:1", "TOKEN": "t"},
    read={"ci/jobs.yml": ".tpl: {script: [a]}\nj: {script: [b]}", "ci/more.yml": "m: {script: [c]}"}.get,
)


def one(text: str, context: Context = CONTEXT) -> CompiledJob:
    """The only job of a document."""
    [job] = jobs_of(text, context)
    return job


def test_defaults_are_inherited_as_far_as_inherit_allows() -> None:
    """default: reaches every job that does not say otherwise."""
    base = "default: {image: 'a:1', before_script: [b], retry: 1}\nj: {script: [x]%s}"
    job = one(base % "")
    assert (job.image, job.before_script, job.retry.most) == ("a:1", ("b",), 1)
    job = one(base % ", inherit: {default: [image]}")
    assert (job.image, job.before_script) == ("a:1", ())
    assert one(base % ", inherit: {default: false}").image is None
    assert one(base % ", before_script: []").before_script == ()


def test_variables_of_the_file_of_the_job_and_of_the_project() -> None:
    """The job's go before the file's, the project's before both; nested ones unfold."""
    job = one("variables: {A: '1', R: $CI_REGISTRY/g}\nj: {image: '${R}/py:$A', script: [x], variables: {A: 2}}")
    assert job.image == "r:1/g/py:2"
    assert one("j: {script: [x], variables: {TOKEN: mine}}").variables["TOKEN"] == "t"
    assert "A" not in one("variables: {A: 1}\nj: {script: [x], inherit: {variables: false}}").variables
    assert one("j: {script: [x], variables: {B: true, F: 1.5}}").variables["B"] == "true"


def test_extends_merges_hashes_and_replaces_lists() -> None:
    """Over several parents and levels, the nearest last."""
    job = one(
        ".a: {variables: {X: a, Y: a}, script: [a]}\n.b: {extends: .a, variables: {Y: b}}\n"
        ".c: {image: 'c:1'}\nj: {extends: [.b, .c], variables: {Z: j}}"
    )
    assert {job.variables[name] for name in "XYZ"} == {"a", "b", "j"}
    assert (job.script, job.image) == (("a",), "c:1")


def test_references_and_anchors_bring_parts_of_other_jobs() -> None:
    """Lists within lists are laid out."""
    job = one(".a: {script: [1a, 2a], v: &v {X: y}}\nj: {script: [!reference [.a, script], b], variables: *v}")
    assert (job.script, job.variables["X"]) == (("1a", "2a", "b"), "y")


def test_includes_stand_below_the_document() -> None:
    """Local files, lists, wildcards and rules; the including file wins."""
    jobs = jobs_of("include: [{local: /ci/jobs.yml}]\nj: {script: [own], extends: .img}\n.img: {image: 'i:1'}", CONTEXT)
    assert [(job.script, job.image) for job in jobs] == [(("own",), "i:1")]
    assert len(jobs_of("include: {local: 'ci/*.yml'}", CONTEXT)) == 2
    text = "include: {local: ci/more.yml, rules: [{if: $NO}]}\nk: {script: [x]}"
    assert [job.name for job in jobs_of(text, CONTEXT)] == ["k"]


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("$A", True),
        ("$EMPTY", False),
        ("$NONE", False),
        ('$A == "1"', True),
        ("$A == '2'", False),
        ("$NONE == null", True),
        ("$EMPTY == null", False),
        ('$EMPTY == ""', True),
        ("$A != null && $NONE", False),
        ("$NONE || $A", True),
        ("$NONE && $NONE || $A", True),
        ("$NONE && ($NONE || $A)", False),
        ("$B =~ /^fea/", True),
        ("$B =~ /^FEA.*X$/i", True),
        ("$B !~ /^fea/", False),
        (r"$B =~ /feature\/x/", True),
        ("$B =~ $P", True),
        ("$NONE =~ /x/", False),
        ("$NONE !~ /x/", True),
        ('"x" == "x"', True),
        ("$A == $A", True),
    ],
)
def test_expressions_hold_as_in_gitlab(expression: str, holds: bool) -> None:
    """Comparison before and before or; parentheses; null; patterns, also from variables."""
    assert evaluate(expression, {"A": "1", "EMPTY": "", "B": "feature/x", "P": "/ture/"}) is holds


@pytest.mark.parametrize(
    ("rules", "when", "allowed"),
    [
        ("[{if: $NO}, {when: on_failure}]", "on_failure", False),
        ("[{exists: ['**/*.rb']}]", "on_success", False),
        ("[{exists: ['*.rb']}]", None, False),
        ("[{changes: [app.py]}]", "on_success", False),
        ("[{changes: {paths: ['src/**/*']}}]", None, False),
        ("[{when: manual}]", "manual", False),
        ("[{when: manual, allow_failure: true}]", "manual", True),
        ("[{if: $CI_COMMIT_BRANCH, when: never}, {when: always}]", None, False),
        ("[]", None, False),
    ],
)
def test_the_first_rule_that_fits_decides(rules: str, when: str | None, allowed: bool) -> None:
    """Whether the job is there, when it runs and whether it may fail."""
    compiled = compile_pipeline(f"j: {{script: [x], rules: {rules}}}", CONTEXT)
    assert compiled.errors == ()
    assert [(job.when, job.allow_failure) for job in compiled.jobs] == ([] if when is None else [(when, allowed)])
    assert compiled.filtered is (when is None)


def test_rules_bring_variables_and_needs() -> None:
    """What a rule sets goes before what the job has."""
    rule = "{variables: {V: 'b:2'}, needs: [a]}"
    text = f"a: {{script: [x]}}\nj: {{script: [x], image: $V, variables: {{V: 'a:1'}}, rules: [{rule}]}}"
    job = jobs_of(text, CONTEXT)[1]
    assert (job.image, job.needs) == ("b:2", ("a",))


def test_workflow_rules_filter_the_whole_pipeline() -> None:
    """No rule fits: no pipeline; a rule's variables are the pipeline's."""
    assert compile_pipeline("workflow: {rules: [{if: $NO}]}\nj: {script: [x]}", CONTEXT).filtered
    job = one("workflow: {rules: [{if: $CI_COMMIT_BRANCH, variables: {W: w}}]}\nj: {script: [x]}")
    assert job.variables["W"] == "w"


@pytest.mark.parametrize(
    ("keys", "there"),
    [
        ("only: [main]", False),
        ("only: [branches]", True),
        ("except: [/^feature/]", False),
        ("only: {refs: [/x$/]}", True),
    ],
)
def test_only_and_except(keys: str, there: bool) -> None:
    """By name, keyword and pattern."""
    assert bool(jobs_of(f"j: {{script: [x], {keys}}}\nk: {{script: [x]}}", CONTEXT)[1:]) is there


def test_parallel_jobs_are_several_and_needed_together() -> None:
    """Numbered ones and a matrix, with their variables; a need of one part of a matrix."""
    jobs = jobs_of(
        "n: {stage: build, script: [x], parallel: 2}\n"
        "m: {stage: build, script: [x], image: 'p:$P', parallel: {matrix: [{P: ['3.11', '3.12'], O: [deb]}]}}\n"
        "a: {script: [x], needs: [n, m]}\n"
        "b: {script: [x], needs: [{job: m, parallel: {matrix: [{P: ['3.12'], O: deb}]}}]}\n",
        CONTEXT,
    )
    assert [job.name for job in jobs][:4] == ["n 1/2", "n 2/2", "m: [3.11, deb]", "m: [3.12, deb]"]
    assert jobs[0].variables["CI_NODE_TOTAL"] == "2"
    assert jobs[2].image == "p:3.11"
    assert jobs[4].needs == ("n 1/2", "n 2/2", "m: [3.11, deb]", "m: [3.12, deb]")
    assert jobs[5].needs == ("m: [3.12, deb]",)


def test_needs_without_artifacts_and_optional_needs() -> None:
    """Artifacts are fetched of those needs only that do not refuse them; an optional need may be missing."""
    jobs = jobs_of(
        "a: {script: [x], artifacts: {paths: [o]}}\nb: {script: [x]}\n"
        "c: {script: [x], needs: [a, {job: b, artifacts: false}, {job: z, optional: true}]}",
        CONTEXT,
    )
    assert (jobs[2].needs, jobs[2].needs_artifacts) == (("a", "b"), ("a",))


def test_predefined_variables_and_stages() -> None:
    """.pre and .post surround the stages; CI_* are there."""
    job = one("j: {stage: .post, script: [x]}")
    assert job.stage_index == 4
    assert job.variables["CI_COMMIT_REF_SLUG"] == "feature-x"
    assert job.variables["CI_COMMIT_BRANCH"] == "feature/x"
    assert job.variables["CI_JOB_STAGE"] == ".post"


def test_the_merged_document_has_no_extends_and_no_anchors() -> None:
    """As GitLab's lint shows it."""
    merged = compile_pipeline(".a: &a {script: [x]}\nj: {extends: .a}\nk: *a", CONTEXT).merged_yaml
    assert merged.startswith("---\n")
    assert not any(sign in merged for sign in ("extends", "&", "*"))


def test_a_bare_when_at_the_end_of_rules_is_warned_of() -> None:
    """GitLab's warning of several pipelines for one action."""
    [warning] = compile_pipeline("j: {script: [x], rules: [{when: always}]}", CONTEXT).warnings
    assert warning.startswith("jobs:j may allow multiple pipelines")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h 30m", 5400), ("90 minutes", 5400), ("3 hours and 20 minutes", 12000), (45, 45), ("x", None)],
)
def test_durations(text: object, seconds: int | None) -> None:
    """As people write timeouts."""
    assert duration(text) == seconds


def test_durations_are_spoken_as_the_runner_does() -> None:
    """Go's way of printing them."""
    assert [spoken(3600), spoken(61), spoken(5)] == ["1h0m0s", "1m1s", "5s"]


@pytest.mark.parametrize(
    ("path", "pattern", "fits"),
    [
        ("a/b.py", "*.py", False),
        ("a/b.py", "**/*.py", True),
        ("b.py", "**/*.py", True),
        ("a/b/c", "a/**/*", True),
        (".env", "*", True),
        ("x.yml", "*.{yml,yaml}", True),
        ("a1", "a[0-9]", True),
        ("a", "[", False),
    ],
)
def test_file_patterns(path: str, pattern: str, fits: bool) -> None:
    """Ruby's fnmatch as GitLab calls it."""
    assert matches(path, pattern) is fits
