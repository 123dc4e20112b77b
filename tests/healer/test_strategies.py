"""The deterministic repairs: minimal, certain, and checked."""

from __future__ import annotations

import pytest

from services.healer.failure import Tags
from services.healer.strategies import image_not_found, invalid_stage, yaml_syntax
from services.healer.strategies.fix import unified_diff
from services.healer.strategies.image_not_found import nearest_tag
from shared.ci.lint import check
from shared.events import Image
from tests.ci.pipelines import DOCKERFILE, PIPELINE, REGISTRY, files

PYTHON = [
    "3.9-slim",
    "3.11-slim",
    "3.12",
    "3.12-slim",
    "3.12.7-slim",
    "3.12-alpine",
    "3-slim",
    "latest",
    "slim",
    "2.7-slim",
]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("3.12.42-slim", "3.12-slim"),
        ("3.12.42", "3.12"),
        ("3.12.42-alpine", "3.12-alpine"),
        ("3.13-slim", "3-slim"),
        ("3.12-slin", "3.12-slim"),
        ("4.0-slim", None),
        ("3.12-windowsservercore", None),
        ("latset", "latest"),
        ("nothing-like-it", None),
    ],
)
def test_the_nearest_tag_keeps_variant_and_version(wanted: str, expected: str | None) -> None:
    """Same variant, longest common version, never another major version; else a tag that is spelt alike."""
    assert nearest_tag(wanted, PYTHON) == expected


def _image(tag: str, state: str = "failed") -> Image:
    target = f"{REGISTRY}/python:{tag}"
    source = f"docker.io/library/python:{tag}"
    return Image.model_validate({"source": source, "target": target, "state": state, "used_by": ("job compile",)})


def test_a_tag_that_does_not_exist_is_corrected_everywhere_and_nothing_else() -> None:
    """Both files name the nearest tag afterwards; comments, order and every other line stay."""
    broken = files(
        PIPELINE.replace("python:3.12-slim", "python:3.12.42-slim"), DOCKERFILE.replace("3.12-slim", "3.12.42-slim")
    )
    image = _image("3.12.42-slim")
    fix = image_not_found.repair(broken, [image], {image.target: Tags((), tuple(PYTHON))}, REGISTRY)
    assert fix is not None
    assert not fix.rerun
    assert fix.files == files()


def test_an_image_that_can_be_had_is_seeded_and_run_again() -> None:
    """A tag that exists at the source or is in the registry by now needs no change of the files."""
    image = _image("3.12-slim")
    for tags in (Tags((), ("3.12-slim",)), Tags(("3.12-slim",), ()), Tags((), None)):
        fix = image_not_found.repair(files(), [image], {image.target: tags}, REGISTRY)
        assert fix is not None
        assert fix.rerun


def test_an_image_of_which_nothing_exists_is_left_to_others() -> None:
    """No tag comes near, or the repository is unknown everywhere: no guess is made."""
    image = _image("3.12-slim")
    assert image_not_found.repair(files(), [image], {image.target: Tags((), ())}, REGISTRY) is None
    assert image_not_found.repair(files(), [image], {image.target: Tags((), ("2.7-slim",))}, REGISTRY) is None


def test_a_tag_in_a_variable_is_corrected_there() -> None:
    """Where the tag is not written beside the name, the one place that holds it is changed."""
    with_variable = PIPELINE.replace("python:3.12-slim", "python:$PY").replace(
        "  IMAGE:", '  PY: "3.12.42-slim"\n  IMAGE:'
    )
    image = _image("3.12.42-slim")
    fix = image_not_found.repair(files(with_variable), [image], {image.target: Tags((), tuple(PYTHON))}, REGISTRY)
    assert fix is not None
    assert fix.files.pipeline == with_variable.replace("3.12.42-slim", "3.12-slim")


YAML_MISTAKES = {
    "tabs": ("    - bandit -r . -ll", "\t\t- bandit -r . -ll"),
    "an unclosed quote": ('  REGISTRY: "localhost:5000"', '  REGISTRY: "localhost:5000'),
    "the same key twice": ("  stage: sast\n", "  stage: sast\n  stage: sast\n"),
    "a misspelt key": ("  script:\n    - pip install bandit", "  scripts:\n    - pip install bandit"),
    "a misspelt need": ("needs: [build]", "needs: [buidl]"),
    "a lone equals sign": ("== $CI_DEFAULT_BRANCH", "= $CI_DEFAULT_BRANCH"),
}


@pytest.mark.parametrize("name", YAML_MISTAKES)
def test_a_mistake_with_one_meaning_is_mended(name: str) -> None:
    """The mended file is free of findings and, spaces aside, the original."""
    old, new = YAML_MISTAKES[name]
    assert old in PIPELINE
    fix = yaml_syntax.repair(files(PIPELINE.replace(old, new, 1)))
    assert fix is not None
    assert check(fix.files, registry=REGISTRY) == ()
    assert fix.files.pipeline.split() == PIPELINE.split()


def test_a_colon_in_a_command_is_quoted() -> None:
    """The command stays what it was; YAML no longer sees a mapping in it."""
    broken = PIPELINE.replace("    - ruff check .", "    - echo checks: ruff check .")
    fix = yaml_syntax.repair(files(broken))
    assert fix is not None
    assert "    - 'echo checks: ruff check .'\n" in fix.files.pipeline


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  stage: sast\n", "  stage: sast\n  stage: quality\n"),
        ("  script:\n    - pip install ruff\n    - ruff check .\n", ""),
        ("needs: [build]", "needs: [something_else]"),
        ("stages: [compile,", "stages: [compile,,{"),
    ],
)
def test_what_can_be_meant_in_two_ways_is_left_alone(old: str, new: str) -> None:
    """A key with two values, a script that is gone, an unknown need, plain nonsense: no guess is made."""
    assert yaml_syntax.repair(files(PIPELINE.replace(old, new, 1))) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stage: sast", "stage: sats"),
        ("compile, build, test,", "build, compile, test,"),
        ("push, notify, learn]", "push, notify]"),
        ("  stage: quality\n", ""),
        (
            "stages: [compile, build, test, sast, quality, security, push, notify, learn]",
            "stages:\n- compile\n- build\n- test",
        ),
        ("stages: [compile, build, test, sast, quality, security, push, notify, learn]\n\n", ""),
    ],
)
def test_stages_are_mended_with_the_smallest_edit(old: str, new: str) -> None:
    """The nine stages stand in their order again, every job in its own; comments stay; at most a few lines change."""
    broken = files(PIPELINE.replace(old, new, 1))
    fix = invalid_stage.repair(broken)
    assert fix is not None
    assert check(fix.files, registry=REGISTRY) == ()
    assert fix.files.pipeline.startswith("# nine stages")
    changed = [
        line
        for line in unified_diff(broken, fix.files).splitlines()
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    assert len(changed) <= 6


def test_a_file_without_mistakes_is_not_touched() -> None:
    """No strategy has anything to say about valid files."""
    assert yaml_syntax.repair(files()) is None
    assert invalid_stage.repair(files()) is None


def test_a_file_that_cannot_be_mended_whole_is_left_alone() -> None:
    """One certain mistake beside one that has two meanings: half a repair is none."""
    half = PIPELINE.replace("needs: [build]", "needs: [buidl]").replace("  script:\n    - pip install ruff\n", "  x:\n")
    assert yaml_syntax.repair(files(half)) is None
