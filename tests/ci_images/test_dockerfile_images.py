"""The images of a Dockerfile."""

from __future__ import annotations

import textwrap

import pytest

from shared.ci.images import ImageUse, images_of
from shared.events import Files


def images(dockerfile: str) -> list[ImageUse]:
    """The uses in a Dockerfile alone."""
    return images_of(Files(pipeline="{}", dockerfile=textwrap.dedent(dockerfile)))


def test_arguments_stages_platforms_and_copies() -> None:
    """ARG defaults are filled in; stages and scratch are no images; COPY --from and mounts may name one."""
    found = images("""\
        # syntax=docker/dockerfile:1
        ARG REGISTRY=127.0.0.1:5001
        ARG TAG="3.12-slim" IMAGE=${REGISTRY}/python:${TAG}
        FROM --platform=$BUILDPLATFORM ${IMAGE} AS Build
        RUN --mount=type=bind,from=${REGISTRY}/x,target=/x --mount=from=tools:1,target=/t true
        from build as test
        COPY --from=build --chown=a:b /a /a
        COPY --from=0 /a /a
        COPY --from=docker.io/library/busybox:1 /bin/sh /sh
        FROM scratch
        FROM ${REGISTRY}/node:${NODE:-20}
        """)
    assert [(u.reference, u.used_by, u.line) for u in found] == [
        ("docker/dockerfile:1", "Dockerfile syntax", 1),
        ("127.0.0.1:5001/python:3.12-slim", "Dockerfile stage build", 4),
        ("${REGISTRY}/x", "Dockerfile stage build, RUN from", 5),
        ("tools:1", "Dockerfile stage build, RUN from", 5),
        ("docker.io/library/busybox:1", "Dockerfile stage test, COPY from", 9),
        ("127.0.0.1:5001/node:20", "Dockerfile stage 3", 11),
    ]
    assert [bool(u.problem) for u in found] == [False, False, True, False, False, False]


def test_continuations_comments_and_heredocs_hide_no_from_and_add_none() -> None:
    """A FROM inside a heredoc is text; one that continues over comments is one instruction."""
    found = images("""\
        FROM \\
          # a comment between

          a:1
        RUN <<EOF
        FROM not:1
        EOF
        RUN echo \\
          FROM not:2
        FROM b:1
        """)
    assert [(u.reference, u.line) for u in found] == [("a:1", 1), ("b:1", 10)]


@pytest.mark.parametrize(
    "line",
    [
        "RUN echo $((1<<8))",
        'RUN echo "<<EOF"',
        "RUN echo 'one <<EOF two'",
        "RUN cat <<<EOF",
        "RUN cat << EOF",
        "RUN true <<-EOF\n  EOF\n\tEOF",
        "RUN <<EOF\nFROM hidden:1\nEOF\r",
        "# one\u2028FROM hidden:1\x0cFROM hidden:2",
    ],
)
def test_what_only_looks_like_a_heredoc_or_a_line_hides_nothing(line: str) -> None:
    """What a builder reads is what is seen: the image after it, and no other."""
    found = images(f"FROM a:1\n{line}\nFROM b:1\n")
    assert [use.reference for use in found] == ["a:1", "b:1"]


def test_another_escape_character_is_respected() -> None:
    """With the directive `escape` a backslash no longer continues a line."""
    found = images("# escape=`\nFROM a:1\nRUN dir C:\\\nFROM `\n b:1\n")
    assert [u.reference for u in found] == ["a:1", "b:1"]


@pytest.mark.parametrize(
    ("dockerfile", "problem"),
    [
        ("FROM $GONE", "ARG GONE is not declared"),
        ("ARG X\nFROM a:$X", "ARG X has no default"),
        ("FROM a:$TARGETARCH", "set by the machine that builds"),
        ("FROM A:1", "is not part of a name"),
        ("FROM", "is not part of a name"),
        ("FROM later\nFROM b AS later", ""),
    ],
)
def test_what_cannot_be_resolved_is_listed_with_its_reason(dockerfile: str, problem: str) -> None:
    """The use stays in the list and says why it is not known; a stage named later is an image now."""
    assert problem in images(dockerfile)[0].problem
    assert images(dockerfile)[0].used_by == "Dockerfile stage 0"
