"""What the compiler refuses, in GitLab's words."""

from __future__ import annotations

import pytest

from sandbox.gitlab.ci import Context, compile_pipeline

FILES = {"ok.yml": ".x: {script: [x]}", "bad.yml": "a: [", "list.yml": "- a", "loop.yml": "include: loop.yml"}
LISTED = ".pre, build, .post"
RULED_OUT = (
    "'b' job needs 'a' job, but 'a' does not exist in the pipeline. This might be because of the only, except, or "
    "rules keywords. To need a job that sometimes does not exist in the pipeline, use needs:optional."
)
ERRORS = {
    "nothing": ("", "Please provide content of .gitlab-ci.yml"),
    "a list": ("- a", "Invalid configuration format"),
    "bad indent": (
        "a:\n  script: x\n b: y",
        "(<unknown>): did not find expected key while parsing a block mapping at line 3 column 2",
    ),
    "twice": ("a: {script: x}\na: {script: y}", "(<unknown>): duplicate key a at line 2"),
    "date": ("a: {script: x, variables: {D: 2024-01-01}}", "Tried to load unspecified class: Date"),
    "no job": (".a: {script: x}", "jobs config should contain at least one visible job"),
    "no script": (
        "test: {stage: test}\nb: {script: x}",
        "jobs:test config should implement the script:, run:, or trigger: keyword",
    ),
    "script": (
        "t: {script: {a: b}}",
        "jobs:t:script config should be a string or a nested array of strings up to 10 levels deep",
    ),
    "blank script": ("t: {script: []}", "jobs:t script can't be blank"),
    "stage": (
        "stages: [build]\nt: {stage: foo, script: x}",
        f"t job: chosen stage foo does not exist; available stages are {LISTED}",
    ),
    "stages": ("stages: build\nt: {script: x}", "stages config should be an array of strings"),
    "key": ("t: {script: x, scripts: y}", "jobs:t config contains unknown keys: scripts"),
    "when": (
        "t: {script: x, when: later}",
        "jobs:t when should be one of: on_success, on_failure, always, manual, delayed",
    ),
    "need": ("t: {script: x, needs: [u]}", "t job: undefined need: u"),
    "dependency": ("t: {script: x, dependencies: [u]}", "t job: undefined dependency: u"),
    "later": (
        "a: {stage: build, script: x, needs: [b]}\nb: {stage: test, script: x}",
        "a job: need b is not defined in current or prior stages",
    ),
    "circle": ("a: {script: x, needs: [b]}\nb: {script: x, needs: [a]}", "The pipeline has circular dependencies"),
    "itself": ("a: {script: x, needs: [a]}", "The pipeline has circular dependencies"),
    "need twice": ("a: {script: x}\nb: {script: x, needs: [a, a]}", "b has the following needs duplicated: a."),
    "dependencies beside needs": (
        "a: {script: x}\nb: {script: x}\nc: {stage: deploy, script: x, needs: [a], dependencies: [b]}",
        "jobs:c dependencies the b should be part of needs",
    ),
    "extends": ("a: {extends: .b, script: x}", "a: unknown keys in `extends` (.b)"),
    "extends a text": ("b: x\na: {extends: b, script: x}", "a: invalid base hashes in `extends` (b)"),
    "extends in a circle": (
        "a: {extends: b, script: x}\nb: {extends: a}",
        "a: circular dependency detected in `extends`",
    ),
    "reference": ("a: {script: [!reference [.b, script]]}", '!reference [".b", "script"] could not be found'),
    "reference to itself": (
        "a: {script: !reference [a, script]}",
        '!reference ["a", "script"] is part of a circular chain',
    ),
    "if": ("a: {script: x, rules: [{if: '$A = 1'}]}", "jobs:a:rules:rule if invalid expression syntax"),
    "if with braces": ("a: {script: x, rules: [{if: '${A}'}]}", "jobs:a:rules:rule if invalid expression syntax"),
    "if with lookahead": (
        "a: {script: x, rules: [{if: '$A =~ /a(?=b)/'}]}",
        "jobs:a:rules:rule if invalid expression syntax",
    ),
    "rule key": ("a: {script: x, rules: [{iff: x}]}", "jobs:a:rules:rule config contains unknown keys: iff"),
    "rules and only": (
        "a: {script: x, rules: [{when: always}], only: [main]}",
        "jobs:a config key may not be used with `rules`: only",
    ),
    "retry": ("a: {script: x, retry: 3}", "jobs:a:retry config must be less than or equal to 2"),
    "retry max": ("a: {script: x, retry: {max: 5}}", "jobs:a:retry max must be less than or equal to 2"),
    "retry when": ("a: {script: x, retry: {when: rain}}", "jobs:a:retry when is not included in the list"),
    "timeout": ("a: {script: x, timeout: soon}", "jobs:a:timeout config should be a duration"),
    "parallel": ("a: {script: x, parallel: 0}", "jobs:a:parallel config must be greater than or equal to 1"),
    "image": ("a: {script: x, image: [a]}", "jobs:a:image config should be a hash or a string"),
    "variable": ("a: {script: x}\nvariables: {A: [1]}", "variable definition must be either a string or a hash"),
    "variables": ("a: {script: x}\nvariables: [1]", "variables config should be a hash"),
    "circular variables": (
        "a: {script: x, image: $A, variables: {A: $B, B: $A}}",
        'a: circular variable reference detected: ["A", "B"]',
    ),
    "need without a job": (
        "a: {script: x, needs: [{artifacts: true}]}",
        "jobs:a:needs:need has to be a string, a hash with job or a hash with pipeline",
    ),
    "needs of a rule": (
        "a: {script: x, rules: [{needs: 5}]}",
        "jobs:a:rules:rule:needs config can only be a hash or an array",
    ),
    "retry exit codes": (
        "a: {script: x, retry: {exit_codes: [a]}}",
        "jobs:a:retry exit codes should be an array of integers or an integer",
    ),
    "allow_failure": ("a: {script: x, allow_failure: 1}", "jobs:a allow_failure should be a hash or a boolean value"),
    "no include": ("include: none.yml\na: {script: x}", "Local file `none.yml` does not exist!"),
    "include of a list": ("include: list.yml\na: {script: x}", "`list.yml`: Invalid configuration format"),
    "include for ever": ("include: loop.yml\na: {script: x}", "Maximum of 150 nested includes are allowed!"),
    "include of text": (
        "include: README.md\na: {script: x}",
        "Included file `README.md` does not have YAML extension!",
    ),
    "need ruled out": (
        "a: {script: x, rules: [{when: never}]}\nb: {script: x, needs: [a]}",
        RULED_OUT,
    ),
}


@pytest.mark.parametrize(("text", "error"), ERRORS.values(), ids=ERRORS.keys())
def test_what_gitlab_refuses_is_refused_in_its_words(text: str, error: str) -> None:
    """Each broken document gives its one sentence, and no jobs."""
    compiled = compile_pipeline(text, Context("main", "main", list(FILES), read=FILES.get))
    assert compiled.errors == (error,)
    assert compiled.jobs == ()
    assert not compiled.filtered


def test_all_validation_errors_come_together() -> None:
    """Several things wrong in several jobs are told at once."""
    compiled = compile_pipeline("a: {script: x, retry: 9}\nb: {when: x, script: y}", Context("main", "main"))
    assert len(compiled.errors) == 2


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]\nb: {script: x}",
        "[" * 5000,
        "{a: " * 5000,
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)),
        ".a0: {s: [x, x]}\n"
        + "".join(f".a{i}: {{s: [{', '.join([f'!reference [.a{i - 1}, s]'] * 8)}]}}\n" for i in range(1, 12))
        + "j: {script: !reference [.a11, s]}",
        "j: {script: x, image: $V40}\nvariables:\n  V0: xx\n"
        + "".join(f"  V{i}: $V{i - 1}$V{i - 1}\n" for i in range(1, 41)),
        "j: {script: x, parallel: {matrix: [{A: [1,2,3,4,5,6,7,8], B: [1,2,3,4,5,6,7,8], C: [1,2,3,4]}]}}",
        "j:\n  script: x\n  rules: [{if: '" + "(" * 500 + "'}]",
    ],
    ids=["recursive", "deep list", "deep hash", "aliases", "references", "variables", "matrix", "parentheses"],
)
def test_documents_that_would_never_end_are_refused(text: str) -> None:
    """Bombs of every kind give an error in the time of any other document."""
    assert compile_pipeline(text, Context("main", "main")).errors
