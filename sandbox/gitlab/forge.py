"""The sandbox's GitLab without its HTTP side: projects, tokens, commits, and the pipelines that they start."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from sandbox.gitlab.ci import Context
from sandbox.gitlab.executor import Executor
from sandbox.gitlab.pipelines import Pipelines, now
from sandbox.gitlab.repository import Action, Author, CommitInfo, Refused, Repository
from sandbox.gitlab.store import Row, Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OWNER = 50
DEFAULT_BRANCH = "main"
PATH = re.compile(r"[\w.-]+(/[\w.-]+)+")


class NotFound(Exception):  # noqa: N818 - the answer is 404
    """What was asked for does not exist; the text names its kind."""


class Forge:
    """All that GitLab remembers and does."""

    def __init__(self, data: Path, base_url: str, token: str, registry: str | None) -> None:
        """Open what `data` holds; `token` is the administrator's."""
        self._repositories = data / "repositories"
        self._repositories.mkdir(parents=True, exist_ok=True)
        self.base_url = base_url
        self.store = Store(data / "gitlab.sqlite")
        self.pipelines = Pipelines(self.store, Executor(registry), base_url, registry)
        self._root: Row = {"id": 1, "username": "root", "name": "Administrator", "access_level": OWNER}
        self._root |= {"email": "admin@example.com", "token": token}
        self.pipelines.recover()

    async def close(self) -> None:
        """End the pipelines and close the files."""
        await self.pipelines.stop()
        self.store.close()

    def add_token(self, username: str, token: str, access_level: int) -> None:
        """A further user; the access level as GitLab counts: 10 guest, 20 reporter, 30 developer, 40 maintainer."""
        row = {"username": username, "name": username, "email": f"{username}@example.com", "token": token}
        self.store.add("user", {**row, "access_level": access_level, "id": 1000 + len(self.store.list("user"))})

    def user_of(self, token: str) -> Row | None:
        """Whose token it is."""
        return next((row for row in [self._root, *self.store.list("user")] if row["token"] == token), None)

    def project(self, path_or_id: str) -> Row:
        """By id or path; NotFound where there is none."""
        for row in self.store.list("project"):
            if path_or_id in (str(row["id"]), row["path_with_namespace"]):
                return row
        raise NotFound("Project")

    async def add_project(self, path: str, *, visibility: str = "private") -> Row | None:
        """A new, empty project; None where the path is taken."""
        if not PATH.fullmatch(path):
            raise Refused(f"{path} is no project path such as group/name")
        if any(row["path_with_namespace"] == path for row in self.store.list("project")):
            return None
        row: Row = {"path": path.rpartition("/")[2], "path_with_namespace": path, "visibility": visibility}
        row = self.store.add("project", {**row, "default_branch": DEFAULT_BRANCH, "created_at": now()})
        group = path.rpartition("/")[0]
        if all(one["full_path"] != group for one in self.store.list("namespace")):
            self.store.add("namespace", {"full_path": group})
        self.repository(row).remove()
        await self.repository(row).create(DEFAULT_BRANCH)
        return row

    def remove_project(self, row: Row) -> None:
        """Forget it, its repository and its pipelines."""
        self.store.remove_project(row["id"])
        shutil.rmtree(self.repository(row).path, ignore_errors=True)

    def repository(self, row: Row) -> Repository:
        """The repository of a project."""
        return Repository(self._repositories / f"{row['id']}.git")

    async def commit(
        self, row: Row, branch: str, start: str | None, actions: Sequence[Action], message: str, author: Author
    ) -> CommitInfo:
        """A commit through the API; Refused in GitLab's words where it does not fit."""
        repository = self.repository(row)
        branches = await repository.branches()
        if branch in branches and start and start != branch:
            raise Refused(f"A branch called '{branch}' already exists. Switch to that branch in order to make changes")
        if branch not in branches and branches and not start:
            raise Refused("You can only create or edit files when you are on a branch")
        parent = await repository.resolve(start or branch) if branches else None
        if branches and parent is None:
            raise Refused(f"Cannot find start_branch '{start}'" if start else "Invalid branch")
        sha = await repository.commit(branch, parent, actions, message, author)
        await self.pushed(row, {branch: sha})
        [info] = await repository.log(sha, limit=1)
        return info

    async def pushed(self, row: Row, branches: dict[str, str]) -> None:
        """Start the pipelines of branches that have moved; the first branch of a project becomes the default one."""
        repository = self.repository(row)
        if branches and row["default_branch"] not in await repository.branches():
            row = self.store.update("project", row["id"], default_branch=next(iter(branches)))
        for branch, sha in branches.items():
            [info] = await repository.log(sha, limit=1)
            await self.pipelines.pushed(row, repository, branch, sha, info.message)

    def empty_context(self, row: Row) -> Context:
        """What a pipeline sees of a repository without a commit."""
        return Context(row["default_branch"], row["default_branch"])
