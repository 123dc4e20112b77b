"""Valid pipelines, none of them greenrun's: each uses other parts of GitLab's CI/CD YAML reference."""

from __future__ import annotations

VALID: dict[str, str] = {
    "the least": "job:\n  script: make\n",
    "old global keywords": """
variables:
image: ruby:3.3
services: [postgres:16]
before_script: [bundle install]
after_script:
  - rm -rf tmp
cache:
  paths: [vendor/]
rspec:
  script: bundle exec rspec
  only: [main, /^release-.*$/]
  except:
    variables: ["$CI_COMMIT_MESSAGE =~ /skip/"]
""",
    "includes of every kind": """
include:
  - local: /ci/build.yml
  - project: group/ci
    ref: v1.2
    file: [/a.yml, /b.yml]
  - remote: https://ci.example.com/lint.yml
    integrity: sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
  - template: Jobs/SAST.gitlab-ci.yml
  - component: $CI_SERVER_FQDN/group/component/scan@1.0
    inputs: {stage: verify, threshold: 3}
  - local: "ci/*.yml"
    rules:
      - if: $CI_PIPELINE_SOURCE == "schedule"
        when: never
      - exists: [Dockerfile]
sast:
  variables: {SAST_EXCLUDED_PATHS: spec}
deploy:
  extends: .from-elsewhere
  stage: production
  needs: [job-from-elsewhere]
  environment: {name: production, on_stop: stop-from-elsewhere}
""",
    "one include as a text": "include: templates/ci.yml\nunit-tests:\n  extends: .unit\n",
    "a component with inputs": """
spec:
  inputs:
    stage: {default: test}
    name:
      type: string
      regex: /^[a-z]+$/
    jobs: {type: number, default: 2}
    tags: {type: array, default: [linux]}
    when: {options: [always, manual], default: always}
---
"$[[ inputs.name ]]-scan":
  stage: $[[ inputs.stage ]]
  image: registry.example.com/$[[ inputs.name ]]:latest
  tags: $[[ inputs.tags ]]
  parallel: $[[ inputs.jobs ]]
  when: $[[ inputs.when ]]
  needs: ["$[[ inputs.name ]]-build"]
  script:
    - scan --jobs $[[ inputs.jobs ]] "$[[ inputs.name | expand_vars | truncate(0,8) ]]"
""",
    "extends in chains, anchors and merge keys": """
.base: &base
  image: node:22
  tags: [docker]
.cached:
  cache: &cache
    key:
      files: [package-lock.json]
      prefix: $CI_JOB_NAME
    paths: [node_modules/]
    policy: pull
.lint:
  extends: [.base-two, .cached]
.base-two:
  <<: *base
  interruptible: true
.install: &install
  - npm ci
  - npm run prepare
eslint:
  extends: .lint
  script:
    - *install
    - npm run lint
jest:
  <<: [*base]
  cache:
    <<: *cache
    policy: pull-push
  before_script: *install
  script:
    - npm test
""",
    "references into a chain": """
.setup:
  script:
    - echo setup
  rules:
    - if: $CI_MERGE_REQUEST_IID
.child:
  extends: .setup
.vars:
  variables:
    URL: https://example.com
test:
  variables:
    MY_URL: !reference [.vars, variables, URL]
  rules:
    - !reference [.child, rules]
    - when: manual
      allow_failure: true
  script:
    - !reference [.child, script]
    - curl "$MY_URL"
  after_script:
    - !reference [.setup, script]
""",
    "a matrix, and what needs a part of it": """
stages: [build, test]
build:
  stage: build
  parallel:
    matrix:
      - OS: [linux, darwin]
        ARCH: [amd64, arm64]
      - OS: windows
        ARCH: amd64
  script: make OS=$OS ARCH=$ARCH
test:
  stage: test
  parallel: 5
  needs:
    - job: build
      parallel:
        matrix:
          - OS: linux
            ARCH: amd64
  script: ./test.sh $CI_NODE_INDEX/$CI_NODE_TOTAL
""",
    "downstream pipelines": """
stages: [build, triggers]
generate:
  stage: build
  script: ./generate > child.yml
  artifacts: {paths: [child.yml]}
child:
  stage: triggers
  trigger:
    include:
      - artifact: child.yml
        job: generate
    strategy: depend
    forward: {pipeline_variables: true, yaml_variables: false}
multi-project:
  stage: triggers
  trigger:
    project: group/deployer
    branch: main
  variables: {VERSION: $CI_COMMIT_SHORT_SHA}
short:
  stage: triggers
  trigger: group/other
mirror:
  stage: triggers
  needs:
    pipeline: group/upstream
""",
    "artifacts of other pipelines and projects": """
use:
  needs:
    - project: group/lib
      job: build
      ref: main
      artifacts: true
    - pipeline: $PARENT_PIPELINE_ID
      job: create
    - job: maybe
      optional: true
  script: ls
""",
    "every kind of rule": """
workflow:
  name: "Pipeline for $CI_COMMIT_BRANCH"
  auto_cancel: {on_new_commit: interruptible, on_job_failure: none}
  rules:
    - if: $CI_MERGE_REQUEST_TITLE =~ /^Draft:/i
      when: never
    - if: $CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS
      when: never
    - if: '$CI_COMMIT_BRANCH != null && ($CI_COMMIT_TAG == null || $CI_COMMIT_TAG !~ /-rc\\d+$/)'
      variables: {MODE: release}
    - when: always
job:
  rules:
    - if: $CI_COMMIT_BRANCH =~ $PATTERN
      changes:
        paths: [src/**/*, "*.md"]
        compare_to: refs/heads/main
      when: delayed
      start_in: 30 minutes
    - changes: [Dockerfile]
      exists:
        paths: [Dockerfile]
        project: group/project
      needs: [other]
      variables: {A: b}
      interruptible: false
    - if: |
        $CI_PIPELINE_SOURCE == "push" &&
        $CI_COMMIT_REF_PROTECTED == "true"
  script: [echo $MODE]
other:
  script: echo
""",
    "environments, releases, pages and deployments": """
stages: [deploy, release, .post]
review:
  stage: deploy
  script: ./deploy
  environment:
    name: review/$CI_COMMIT_REF_SLUG
    url: https://$CI_ENVIRONMENT_SLUG.example.com
    on_stop: stop_review
    auto_stop_in: 1 week and 2 days
    deployment_tier: development
    kubernetes: {agent: "group/agents:main", namespace: review}
  resource_group: review
  coverage: '/TOTAL\\s+\\d+\\s+\\d+\\s+(\\d+%)/'
stop_review:
  stage: deploy
  script: ./undeploy
  when: manual
  variables: {GIT_STRATEGY: none}
  environment: {name: review/$CI_COMMIT_REF_SLUG, action: stop}
make-release:
  stage: release
  image: registry.gitlab.com/gitlab-org/release-cli:latest
  script: echo release
  rules: [{if: $CI_COMMIT_TAG}]
  release:
    tag_name: $CI_COMMIT_TAG
    name: Release $CI_COMMIT_TAG
    description: ./CHANGELOG.md
    milestones: [m1]
    released_at: "2026-03-15T08:00:00Z"
    assets:
      links: [{name: binary, url: "https://example.com/b", filepath: /b, link_type: other}]
pages:
  stage: deploy
  script: mkdocs build -d public
  artifacts: {paths: [public], expire_in: never}
  pages: {publish: public, path_prefix: $CI_COMMIT_BRANCH}
last:
  stage: .post
  script: echo end
""",
    "secrets, tokens, hooks and defaults": """
default:
  image:
    name: alpine:3.20
    entrypoint: [""]
    pull_policy: [always, if-not-present]
    docker: {user: dave, platform: arm64}
  retry: {max: 2, when: [runner_system_failure, stuck_or_timeout_failure], exit_codes: [137]}
  timeout: 1h 30m
  interruptible: true
  hooks:
    pre_get_sources_script: [echo before]
  id_tokens:
    DEFAULT_TOKEN: {aud: https://vault.example.com}
  artifacts: {expire_in: 3h30min}
job:
  id_tokens:
    VAULT_TOKEN: {aud: [https://a.example.com, https://b.example.com]}
  secrets:
    DATABASE_PASSWORD: {vault: production/db/password@ops, file: false, token: $VAULT_TOKEN}
    OTHER: {gitlab_secrets_manager: {name: other}}
  inherit: {default: [image, retry], variables: [A]}
  identity: google_cloud
  script: [echo]
variables:
  A: a
  DEPLOY:
    value: staging
    options: [staging, production]
    description: where to
    expand: false
  NUMBER: 3
  EMPTY: ""
""",
    "services, caches, reports and empty keywords": """
test:
  image:
    name: python:3.12
  services:
    - name: postgres:16
      alias: db,database
      entrypoint: [docker-entrypoint.sh]
      command: [postgres]
      variables: {POSTGRES_PASSWORD: x}
      pull_policy: always
    - redis
  variables:
  cache:
    - key: pip
      paths: [.cache/pip]
      when: on_success
      fallback_keys: [pip-default]
    - key: {files: [poetry.lock]}
      untracked: true
      unprotect: true
  artifacts:
    name: "$CI_JOB_NAME-$CI_COMMIT_REF_SLUG"
    when: always
    access: developer
    exclude: ["**/*.pyc"]
    expose_as: results
    paths: [out/]
    reports:
      junit: [a.xml, b.xml]
      coverage_report: {coverage_format: cobertura, path: coverage.xml}
      dotenv: build.env
      codequality: gl-code-quality-report.json
      sast: gl-sast-report.json
  dependencies: []
  tags:
    - docker
  script:
    - pytest
  allow_failure: {exit_codes: [137, 255]}
""",
    "scripts of all sorts": r"""
build:
  script:
    - >
      docker build
      --tag "$CI_REGISTRY_IMAGE:latest"
      .
    - |
      for f in *.sh; do
        case "$f" in
          a*) echo "a: $f" ;;
          (b*|c*) continue ;;
          *) ;;
        esac
      done
    - if [ -n "$CI_COMMIT_TAG" ]; then
    - echo "tag $CI_COMMIT_TAG"
    - fi
    - |
      cat > file <<'EOF'
      it's "not closed" $(
      EOF
    - 'echo "key: value"'
    - test -f x && { echo yes; exit 0; } || true
    - "[[ $CI_COMMIT_BRANCH =~ ^(main|release/.*)$ ]] && echo ok"
    - export A=$(printf '%s' "$(git log -1 --format='%h (%s)')")
    - (cd sub && make) | tee log.txt
    - f() { echo "$1"; }; f x
    - arr=(a b "c d"); echo "${arr[@]:1}" "${#arr[@]}" "${A:-$(date +%s)}" $((1 + (2 * 3)))
    - diff <(sort a) <(sort b) &> /dev/null
    - curl --fail "https://example.com/?a=1&b=2" # a comment (with a parenthesis
    - awk '{ print $1 }' file | xargs -I{} echo {}
    - while read -r l; do echo "$l"; done < list
    - cat <<< "here"
    - "! grep -q foo file"
    - echo it\'s
    - time { sleep 1; }
  after_script: ["echo done"]
""",
    "other shells": """
windows:
  tags: [windows]
  script:
    - if (Test-Path out) { Remove-Item -Recurse out }
    - $env:PATH = "C:\\\\tools;$env:PATH"
    - Write-Host "it's `"quoted`""
cmd:
  tags: [saas-windows-medium-amd64]
  script:
    - if exist build (rmdir /s /q build)
    - call build.bat
pwsh:
  image: mcr.microsoft.com/powershell
  script:
    - foreach ($f in Get-ChildItem) { $f.Name }
""",
    "steps": """
job:
  run:
    - name: say
      script: echo ${{ job.name }}
    - name: from_elsewhere
      step: gitlab.com/components/echo@v1
      inputs: {message: hi}
""",
    "templates with their own names": """
stages: [.pre, build, test, .post]
.hidden: [any, thing]
.data: &data {a: 1}
"build:linux amd64":
  stage: build
  script: make
"test: unit, fast (1/2)":
  stage: test
  needs: ["build:linux amd64"]
  script: make test
""",
    "variables that the settings have": """
deploy:
  image: $CI_REGISTRY_IMAGE/deployer:$DEPLOYER_VERSION
  script:
    - helm upgrade "$RELEASE" . --set key="$API_KEY" --namespace "$KUBE_NAMESPACE"
    - ssh "$DEPLOY_USER@$DEPLOY_HOST" "cd /srv && ./run ${RELEASE_ID}"
""",
    "a long way of tokens that look like mistakes": """
trivy:
  image:
    name: aquasec/trivy:0.57.0
    entrypoint: [""]
  variables: {GIT_DEPTH: "0", FF_USE_FASTZIP: "true", DOCKER_TLS_CERTDIR: "/certs"}
  services: [{name: "docker:27-dind", alias: docker}]
  script:
    - trivy image --exit-code 1 --severity HIGH,CRITICAL "$CI_REGISTRY_IMAGE:$CI_COMMIT_SHA"
    - curl -sSL https://install.example.com | sh
    - echo "$CI_REGISTRY_PASSWORD" | docker login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"
""",
}
