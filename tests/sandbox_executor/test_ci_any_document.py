"""Nothing that a document can hold makes the compiler raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.gitlab.ci import Context, compile_pipeline
from sandbox.gitlab.ci_keys import (
    ARTIFACT_KEYS,
    GLOBALS,
    IMAGE_KEYS,
    INHERITED,
    JOB_KEYS,
    NEED_KEYS,
    RULE_KEYS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

FILES = {"ci/more.yml": ".t: {script: [c]}"}
CONTEXT = Context("feature/x", "main", ("app.py", "ci/more.yml"), ("app.py",), {"TOKEN": "t"}, read=FILES.get)
SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 5, 300, -1, 1.5, "", "a", "j", ".t", "$A", "$TOKEN", "${A}", "/x/", "/(/", "main"),
    *("always", "manual", "never", "on_failure", "script_failure", "1h", "test", "ci/more.yml", "[", "**"),
)
KEYS: dict[str, Sequence[str]] = {
    "rules": sorted(RULE_KEYS),
    "artifacts": sorted(ARTIFACT_KEYS),
    "image": sorted(IMAGE_KEYS),
    "services": sorted(IMAGE_KEYS),
    "needs": sorted(NEED_KEYS),
    "default": sorted(INHERITED),
    "retry": ("max", "when", "exit_codes"),
    "parallel": ("matrix",),
    "allow_failure": ("exit_codes",),
    "inherit": ("default", "variables"),
    "workflow": ("rules", "name"),
    "changes": ("paths",),
    "exists": ("paths",),
    "include": ("local", "rules", "remote"),
    "only": ("refs", "variables"),
    "except": ("refs", "variables"),
}


def grown(key: str, random: Random, depth: int = 0) -> Any:
    """Some value for a key: scalars, lists, and hashes with the keys that GitLab knows there."""
    kind = random.random()
    if depth > 5 or kind < 0.45:
        return random.choice(SCALARS)
    if kind < 0.7:
        return [grown(key, random, depth + 1) for _ in range(random.randint(0, 3))]
    names = random.sample(list(KEYS.get(key, ("A", "B", "value"))), k=random.randint(0, 1))
    return {name: grown(name, random, depth + 1) for name in names}


def document(random: Random) -> dict[str, Any]:
    """A document whose jobs have scripts, and anything at all beside them."""
    made: dict[str, Any] = {key: grown(key, random) for key in random.sample(sorted(GLOBALS), k=random.randint(0, 2))}
    for name in ("a", "j", ".t"):
        chosen = random.sample(sorted(JOB_KEYS), k=random.randint(0, 3))
        made[name] = {"script": "x", **{key: grown(key, random) for key in chosen}}
    return made


@given(st.text(max_size=200))
def test_no_text_makes_the_compiler_raise(text: str) -> None:
    """Any text gives jobs, errors or nothing."""
    compile_pipeline(text, CONTEXT)


@settings(max_examples=500, deadline=None)
@given(st.randoms(use_true_random=False))
def test_no_document_makes_the_compiler_raise(random: Random) -> None:
    """Any value at any place of a document gives jobs, errors or nothing."""
    compiled = compile_pipeline(yaml.safe_dump(document(random)), CONTEXT)
    assert not (compiled.errors and compiled.jobs)
