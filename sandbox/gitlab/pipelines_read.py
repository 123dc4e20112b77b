"""What a pipeline is made from: the files that rules and includes ask for, what changed, the project's variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.gitlab.repository import NOWHERE, GitFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.gitlab.repository import Repository
    from sandbox.gitlab.store import Row, Store

MAX_READ_FILES = 400


async def texts(repository: Repository, sha: str, paths: Sequence[str]) -> dict[str, str]:
    """The files that a CI document can name: YAML for `include`, Dockerfiles for the checks of builds."""
    wanted = [path for path in paths if path.endswith((".yml", ".yaml")) or "Dockerfile" in path][:MAX_READ_FILES]
    found = await repository.read_all(sha, wanted)
    return {path: content.decode(errors="replace") for path, content in found.items()}


async def changed_files(repository: Repository, before: str, sha: str, paths: Sequence[str]) -> list[str]:
    """What a push changed; everything where the branch is new, as `rules:changes` on GitLab takes it."""
    if before == NOWHERE:
        return list(paths)
    try:
        named = await repository.git("diff", "--name-only", "-z", before, sha)
    except GitFailed:  # the old commit is gone after a forced push
        return list(paths)
    return [path for path in named.decode(errors="surrogateescape").split("\0") if path]


def project_variables(store: Store, project: Row, *, protected: bool) -> dict[str, Row]:
    """The project's variables by name; the protected ones only where the branch is protected."""
    rows = reversed(store.list("variable", project=project["id"]))
    return {row["key"]: row for row in rows if protected or not row["protected"]}
