"""A valid pair of files that the tests break in one place at a time."""

from __future__ import annotations

from shared.events import Files

REGISTRY = "localhost:5000"
PIPELINE = r"""# nine stages
stages: [compile, build, test, sast, quality, security, push, notify, learn]

variables:
  REGISTRY: "localhost:5000"
  IMAGE: "${REGISTRY}/shop/web"

default:
  image: ${REGISTRY}/python:3.12-slim
  interruptible: true

.with_deps: &deps
  cache:
    key: pip
    paths: [.cache/pip]
  before_script:
    - pip install -r requirements.txt

compile:
  stage: compile
  extends: .with_deps
  script:
    - python -m compileall -q .
    - python -m pip wheel -w dist .
  artifacts:
    paths: [dist/]
    expire_in: 1 day

build:
  stage: build
  image:
    name: ${REGISTRY}/gcr.io/kaniko-project/executor:v1.23.2-debug
    entrypoint: [""]
  needs: [compile]
  script:
    - /kaniko/executor --context . --dockerfile Dockerfile --no-push --tar-path image.tar
  artifacts:
    paths: [image.tar]

test:
  stage: test
  extends: .with_deps
  needs:
    - job: compile
      artifacts: true
  services:
    - name: ${REGISTRY}/postgres:16
      alias: db
  variables:
    DATABASE_URL: postgresql://app@db/app
  script:
    - pip install pytest
    - pytest -q --junitxml=report.xml
  artifacts:
    when: always
    reports:
      junit: report.xml

sast:
  stage: sast
  needs: []
  script:
    - pip install bandit
    - bandit -r . -ll

quality:
  stage: quality
  script:
    - pip install ruff
    - ruff check .

security:
  stage: security
  image: ${REGISTRY}/aquasec/trivy:0.57.0
  needs: [build]
  script:
    - trivy image --input image.tar --exit-code 1

push:
  stage: push
  image:
    name: ${REGISTRY}/gcr.io/kaniko-project/executor:v1.23.2-debug
    entrypoint: [""]
  rules:
    - if: $CI_COMMIT_BRANCH =~ /^feature\// || $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  script:
    - /kaniko/executor --context . --dockerfile Dockerfile --destination ${IMAGE}:${CI_COMMIT_SHORT_SHA}

notify_success:
  stage: notify
  when: on_success
  script:
    - echo "passed ${CI_PIPELINE_URL}"

notify_failure:
  stage: notify
  when: on_failure
  script:
    - echo "failed ${CI_PIPELINE_URL}"

learn:
  stage: learn
  when: on_success
  script:
    - echo "learned ${CI_COMMIT_SHA}"
"""
DOCKERFILE = """ARG REGISTRY=localhost:5000
FROM ${REGISTRY}/python:3.12-slim AS build
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
FROM ${REGISTRY}/python:3.12-slim
COPY --from=build /app /app
USER 1000
CMD ["python", "app.py"]
"""


def files(pipeline: str = PIPELINE, dockerfile: str = DOCKERFILE) -> Files:
    """The valid pair, or with one of the two replaced."""
    return Files(pipeline=pipeline, dockerfile=dockerfile)


def line_of(text: str, needle: str) -> int:
    """The number, from 1, of the first line that holds the needle."""
    return text[: text.index(needle)].count("\n") + 1
