"""GitLab's own variables of a pipeline and of a job, beyond those that the ref alone gives."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandbox.gitlab.clock import now

if TYPE_CHECKING:
    from sandbox.gitlab.repository import CommitInfo
    from sandbox.gitlab.store import Row

VERSION = ("18", "2", "0")
FIRST_COMMIT_IS_FROM = "0" * 40


def pipeline_variables(
    project: Row, commit: CommitInfo, base_url: str, registry: str | None, before: str, ref: str
) -> dict[str, str]:
    """What project, commit and server give; there before the pipeline has an id, so that rules may ask for it."""
    path = project["path_with_namespace"]
    namespace = path.rpartition("/")[0]
    url = urlsplit(base_url)
    title, _, rest = commit.message.partition("\n")
    return {
        "CI_COMMIT_SHA": commit.sha,
        "CI_COMMIT_SHORT_SHA": commit.sha[:8],
        "CI_COMMIT_BEFORE_SHA": before,
        "CI_COMMIT_AUTHOR": f"{commit.author.name} <{commit.author.email}>",
        "CI_COMMIT_MESSAGE": commit.message,
        "CI_COMMIT_TITLE": title,
        "CI_COMMIT_DESCRIPTION": rest.lstrip("\n"),
        "CI_COMMIT_TIMESTAMP": commit.committed,
        "CI_COMMIT_REF_PROTECTED": str(ref == project["default_branch"]).lower(),
        "CI_CONFIG_PATH": ".gitlab-ci.yml",
        "CI_PROJECT_ID": str(project["id"]),
        "CI_PROJECT_NAME": project["path"],
        "CI_PROJECT_TITLE": project.get("name") or project["path"],
        "CI_PROJECT_DESCRIPTION": project.get("description") or "",
        "CI_PROJECT_PATH": path,
        "CI_PROJECT_PATH_SLUG": path.replace("/", "-").lower(),
        "CI_PROJECT_NAMESPACE": namespace,
        "CI_PROJECT_ROOT_NAMESPACE": namespace.partition("/")[0],
        "CI_PROJECT_VISIBILITY": project["visibility"],
        "CI_PROJECT_URL": f"{base_url}/{path}",
        "CI_PROJECT_DIR": f"/builds/{path}",
        "CI_BUILDS_DIR": "/builds",
        "CI_API_V4_URL": f"{base_url}/api/v4",
        "CI_SERVER_URL": base_url,
        "CI_SERVER_HOST": url.hostname or "",
        "CI_SERVER_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
        "CI_SERVER_PROTOCOL": url.scheme,
        "CI_SERVER_FQDN": url.netloc,
        "CI_SERVER_VERSION": ".".join(VERSION),
        **{
            f"CI_SERVER_VERSION_{name}": value for name, value in zip(("MAJOR", "MINOR", "PATCH"), VERSION, strict=True)
        },
        "CI_SERVER_REVISION": "sandbox",
        "CI_PAGES_DOMAIN": "",
        "GITLAB_FEATURES": "",
        **({"CI_REGISTRY": registry, "CI_REGISTRY_IMAGE": f"{registry}/{path}".lower()} if registry else {}),
    }


def job_variables(project: Row, pipeline: Row, job: Row, base_url: str, registry: str | None) -> dict[str, str]:
    """What is known once a job begins: its ids, its token, its runner, who started it."""
    path = project["path_with_namespace"]
    address = base_url.partition("://")
    return {
        "CI_PIPELINE_ID": str(pipeline["id"]),
        "CI_PIPELINE_IID": str(pipeline.get("iid") or pipeline["id"]),
        "CI_PIPELINE_URL": f"{base_url}/{path}/-/pipelines/{pipeline['id']}",
        "CI_PIPELINE_CREATED_AT": pipeline["created_at"],
        "CI_JOB_ID": str(job["id"]),
        "CI_JOB_URL": f"{base_url}/{path}/-/jobs/{job['id']}",
        "CI_JOB_NAME": job["name"],
        "CI_JOB_STAGE": job["stage"],
        "CI_JOB_STARTED_AT": job["started_at"] or now(),
        "CI_JOB_TOKEN": job["token"],
        "CI_JOB_MANUAL": "true" if job.get("when") == "manual" else "",
        "CI_BUILD_ID": str(job["id"]),
        "CI_REPOSITORY_URL": f"{address[0]}://gitlab-ci-token:{job['token']}@{address[2]}/{path}.git",
        "CI_DEPENDENCY_PROXY_SERVER": address[2],
        "CI_RUNNER_ID": "1",
        "CI_RUNNER_DESCRIPTION": "sandbox",
        "CI_RUNNER_TAGS": "[]",
        "CI_RUNNER_VERSION": ".".join(VERSION),
        "CI_RUNNER_EXECUTABLE_ARCH": "linux/amd64",
        "CI_CONCURRENT_ID": "0",
        "CI_CONCURRENT_PROJECT_ID": "0",
        "GITLAB_USER_ID": "1",
        "GITLAB_USER_LOGIN": "root",
        "GITLAB_USER_NAME": "Administrator",
        "GITLAB_USER_EMAIL": "admin@example.com",
        **({"CI_REGISTRY_USER": "gitlab-ci-token", "CI_REGISTRY_PASSWORD": job["token"]} if registry else {}),
    }
