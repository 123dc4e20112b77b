"""The images of a `.gitlab-ci.yml`."""

from __future__ import annotations

import textwrap

import pytest

from shared.ci.images import ImageUse, images_of
from shared.events import Files


def images(pipeline: str) -> list[ImageUse]:
    """The uses in a pipeline alone."""
    return images_of(Files(pipeline=textwrap.dedent(pipeline), dockerfile=""))


def test_image_as_text_and_as_mapping_with_services() -> None:
    """Both forms of image and of services are found, each with its job and line."""
    found = images("""\
        variables:
          REGISTRY: "127.0.0.1:5001"
        compile:
          image: ${REGISTRY}/python:3.12-slim
          script: [make]
        test:
          image:
            name: $REGISTRY/node:20
            entrypoint: [""]
          services:
            - $REGISTRY/postgres:16
            - name: $REGISTRY/redis:7
              alias: cache
          script: [make test]
        """)
    assert found == [
        ImageUse("127.0.0.1:5001/python:3.12-slim", "job compile", 4),
        ImageUse("127.0.0.1:5001/node:20", "job test", 8),
        ImageUse("127.0.0.1:5001/postgres:16", "service of job test", 11),
        ImageUse("127.0.0.1:5001/redis:7", "service of job test", 12),
    ]


def test_default_global_and_inherit() -> None:
    """`default` comes before the deprecated global keys, and `inherit: default` switches it off."""
    found = images("""\
        image: old:1
        services: [db:1]
        default:
          image: base:1
        a: {script: [x]}
        b: {script: [x], inherit: {default: false}}
        c: {script: [x], inherit: {default: [services]}}
        d: {script: [x], image: own:1}
        """)
    assert [(u.reference, u.used_by) for u in found] == [
        ("base:1", "job a"),
        ("db:1", "service of job a"),
        ("db:1", "service of job c"),
        ("own:1", "job d"),
        ("db:1", "service of job d"),
    ]


def test_extends_and_reference_are_resolved() -> None:
    """Parents merge in order, the job's own key wins, `!reference` brings image and services from elsewhere."""
    found = images("""\
        .base: {image: {name: "base:1", entrypoint: [""]}, variables: {TAG: "1"}}
        .second: {extends: .base, image: "second:$TAG"}
        .svc: {services: ["db:1", "cache:1"]}
        one: {extends: .second, script: [x]}
        two: {extends: [.second, .base], variables: {TAG: "2"}, script: [x]}
        three:
          image: !reference [.second, image]
          variables: {TAG: "3"}
          services: [!reference [.svc, services], "more:1"]
          script: [x]
        """)
    assert [(u.reference, u.used_by, u.line) for u in found] == [
        ("second:1", "job one", 2),
        ("base:1", "job two", 1),
        ("second:3", "job three", 7),
        ("db:1", "service of job three", 9),
        ("cache:1", "service of job three", 9),
        ("more:1", "service of job three", 9),
    ]


def test_variables_nest_and_the_job_hides_the_global_one() -> None:
    """A variable may use others, the long form has its value, `$$` is a dollar sign (and then no image)."""
    found = images("""\
        variables:
          REGISTRY: {value: "host:1", description: where}
          IMAGE: "$REGISTRY/python:${VERSION}"
          VERSION: 3.11
        a: {image: $IMAGE, script: [x]}
        b: {image: $IMAGE, variables: {VERSION: 3.12}, script: [x]}
        c: {image: "x:$$1", script: [x]}
        """)
    assert [u.reference for u in found] == ["host:1/python:3.11", "host:1/python:3.12", "x:$1"]
    assert "is not a tag" in found[2].problem


def test_a_matrix_gives_one_image_for_each_cell() -> None:
    """`parallel: matrix` multiplies its lists, and each cell's image is found once."""
    found = images("""\
        test:
          image: "$LANG:$V"
          parallel: {matrix: [{LANG: python, V: ["3.11", "3.12"]}, {LANG: ruby, V: "3.2"}]}
          script: [x]
        """)
    assert [u.reference for u in found] == ["python:3.11", "python:3.12", "ruby:3.2"]


def test_anchors_and_merge_keys_are_followed_with_the_line_of_the_anchor() -> None:
    """An image that comes through `<<` is found where it is written."""
    found = images("""\
        .x: &x
          image: python:3.12
        job:
          <<: *x
          script: [x]
        """)
    assert found == [ImageUse("python:3.12", "job job", 2)]


@pytest.mark.parametrize(
    ("pipeline", "problem"),
    [
        ("job: {image: $CI_REGISTRY_IMAGE, script: [x]}", "$CI_REGISTRY_IMAGE is not known before"),
        ("job: {image: Python:3, script: [x]}", "is not part of a name"),
        ("job: {image: 'x:$(reboot)', script: [x]}", "is not a tag"),
        ("job: {image: $A, variables: {A: $B, B: $A}, script: [x]}", "refers to itself"),
        ("job: {extends: .gone, script: [x]}", "extends '.gone', which is not in the file"),
        ("job: {extends: job, script: [x]}", "in a circle"),
        ("job: {image: !reference [.gone, image], script: [x]}", "points to nothing"),
        (".a: {image: !reference [.a, image]}\njob: {extends: .a}", "in a circle"),
        ("include: {template: X}\njob: {script: [x]}", "included files"),
        ("job: {image: [", "not valid YAML"),
        ("- a", "not a mapping"),
    ],
)
def test_what_cannot_be_resolved_is_listed_with_its_reason(pipeline: str, problem: str) -> None:
    """No image is dropped: the one use says why it is not known, and no exception leaves the function."""
    (use,) = images(pipeline)
    assert problem in use.problem


def test_trigger_jobs_hidden_jobs_and_keywords_need_no_image() -> None:
    """Only jobs that run on a runner pull an image."""
    assert (
        images("""\
        default: {image: base:1}
        stages: [a]
        .hidden: {image: hidden:1}
        down: {trigger: other/project}
        """)
        == []
    )


def test_a_pipeline_of_nested_anchors_does_not_blow_up() -> None:
    """A few hundred bytes of anchors that multiply are refused with a reason, not read to their end."""
    lines = ["a0: &a0 {image: 'x:1'}"]
    lines += [f".a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 30)]
    (use,) = images("\n".join(lines))
    assert "values (aliases counted)" in use.problem


def test_databases_that_a_scanner_reads_from_the_registry_are_needed_too() -> None:
    """No job starts from trivy's database, yet behind an air gap the scan fails without it."""
    found = images("""\
        variables:
          REGISTRY: ai-nexus:5001
          TRIVY_DB_REPOSITORY: ${REGISTRY}/ghcr.io/aquasecurity/trivy-db:2
          TRIVY_JAVA_DB_REPOSITORY: ghcr.io/aquasecurity/trivy-java-db:1
        job: {script: [x]}
        """)
    assert found == [ImageUse("ai-nexus:5001/ghcr.io/aquasecurity/trivy-db:2", "variable TRIVY_DB_REPOSITORY", 3)]
