"""What is understood of the commands that build an image, and of a Dockerfile."""

from __future__ import annotations

import pytest

from sandbox.gitlab.executor_builds import Build, builds
from sandbox.gitlab.executor_dockerfile import UNKNOWN, filled, parents

VARIABLES = {"REGISTRY": "r:1", "CI_PROJECT_DIR": "/builds/g/p", "NESTED": "$REGISTRY/x"}


@pytest.mark.parametrize(
    ("script", "build"),
    [
        ("docker build .", Build("docker", "Dockerfile")),
        ("docker buildx build --push -t a:b app", Build("docker", "app/Dockerfile")),
        ("docker build -f d/One --build-arg REGISTRY .", Build("docker", "d/One", {"REGISTRY": "r:1"})),
        ("podman build --build-arg X=$NESTED .", Build("buildah", "Dockerfile", {"X": "r:1/x"})),
        ("buildah --log-level debug bud .", Build("buildah", "Dockerfile")),
        ("docker run build", None),
        ("docker login -u x && docker tag build b", None),
        (
            "/kaniko/executor\\\n --dockerfile=$CI_PROJECT_DIR/D\\\n --build-arg=R=${REGISTRY}",
            Build("kaniko", "D", {"R": "r:1"}),
        ),
        ("R=z; true\nbuildctl build --opt build-arg:R=$R", Build("buildkit", "Dockerfile", {"R": "z"})),
        ("V=$(git describe)\ndocker build --build-arg V=$V .", Build("docker", "Dockerfile", {"V": UNKNOWN})),
        ("cd x && docker build --target t .", Build("docker", "Dockerfile")),
        ("docker push x", None),
        ("echo 'docker build ", None),
    ],
)
def test_the_builds_of_a_script(script: str, build: Build | None) -> None:
    """Builder, Dockerfile and arguments of each command that builds."""
    found = builds([script], VARIABLES)
    assert found == ([] if build is None else [build])


def test_the_parents_of_a_dockerfile() -> None:
    """Arguments before the first FROM count, own stages and scratch do not; heredocs are no instructions."""
    text = (
        "# comment\nARG R=d:1 V=1\nARG IMG=${R}/py:${V:-9}\nFROM --platform=linux/amd64 \\\n  ${IMG} AS One\nARG V=2\n"
        "RUN --mount=type=bind,from=tool:1,target=/t cat <<EOF\nFROM not:1\nEOF\nFROM one AS two\n"
        "COPY --from=One /a /a\nCOPY --from=0 /a /b\nCOPY --chown=a --from=other:2 /a /c\nFROM scratch\n"
    )
    assert parents(text, {}) == ["d:1/py:1", "tool:1", "other:2"]
    assert parents(text, {"R": "x:5", "V": "3"})[0] == "x:5/py:3"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("$A${B}", "ab"), ("${C:-d}", "d"), ("${E:-d}", "d"), ("${E-d}", "")),
        *(("${A:+z}", "z"), ("${C:+z}", ""), ("$C", "")),
    ],
)
def test_dockerfile_substitution(text: str, value: str) -> None:
    """Defaults and alternatives as Docker fills them in."""
    assert filled(text, {"A": "a", "B": "b", "E": ""}) == value
