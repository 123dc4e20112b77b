"""The sandbox's GitLab without its HTTP side: namespaces, projects, commits, and what follows from them."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from sandbox.gitlab import hook_payloads, shapes
from sandbox.gitlab.access import Access
from sandbox.gitlab.ci import Context
from sandbox.gitlab.clock import now
from sandbox.gitlab.executor import Executor, Settings
from sandbox.gitlab.hooks import Hooks
from sandbox.gitlab.limit import Limit
from sandbox.gitlab.merge_requests import MergeRequests
from sandbox.gitlab.pipelines import Pipelines
from sandbox.gitlab.refusals import NotFound, Refused
from sandbox.gitlab.repository import NOWHERE, Action, Author, CommitInfo, Repository
from sandbox.gitlab.store import Row, Store

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

DEFAULT_BRANCH = "main"
PATH = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)+")
SENT_COMMITS = 20


class Forge:
    """All that GitLab remembers and does."""

    def __init__(self, data: Path, base_url: str, token: str, executor: Settings) -> None:
        """Open what `data` holds; `token` is the administrator's, `executor` says where and how jobs run."""
        self._repositories = data / "repositories"
        self._repositories.mkdir(parents=True, exist_ok=True)
        self.base_url = base_url
        self.store = Store(data / "gitlab.sqlite")
        self.root: Row = {"id": 1, "username": "root", "name": "Administrator", "email": "admin@example.com"}
        self.access = Access(self.store, {**self.root, "token": token})
        self.hooks = Hooks(self.store, base_url)
        self.limit = Limit()
        self.merge_requests = MergeRequests(self.store)
        self.pipelines = Pipelines(self.store, Executor(executor), base_url, self._changed)
        self.namespace("root", kind="user")
        self.pipelines.recover()

    async def close(self) -> None:
        """End the pipelines and close the files."""
        await self.pipelines.stop()
        await self.hooks.close()
        self.store.close()

    def add_token(
        self,
        username: str,
        token: str,
        access_level: int,
        *,
        scopes: Collection[str] = ("api",),
        project: Row | None = None,
    ) -> None:
        """A further user; the access level as GitLab counts: 10 guest, 20 reporter, 30 developer, 40 maintainer.

        With `project` it is a project access token: other projects that are not public are not there for it.
        """
        where = None if project is None else int(project["id"])
        self.access.add_token(username, token, access_level, scopes=frozenset(scopes), project=where)

    def namespace(self, full_path: str, *, kind: str = "group") -> Row:
        """The namespace of that path, made where there is none, with those that it lies in."""
        found = self.store.find("namespace", "full_path", full_path)
        if found is not None:
            return found
        above = full_path.rpartition("/")[0]
        parent = self.namespace(above)["id"] if above else None
        return self.store.add("namespace", {"full_path": full_path, "kind": kind, "parent_id": parent})

    def project(self, path_or_id: str) -> Row:
        """By id or path; NotFound where there is none."""
        row = self.store.get("project", int(path_or_id)) if path_or_id.isdecimal() else None
        row = row or self.store.find("project", "path_with_namespace", path_or_id)
        if row is None:
            raise NotFound("Project")
        return row

    async def add_project(
        self,
        path: str,
        *,
        visibility: str = "private",
        name: str | None = None,
        description: str | None = None,
        default_branch: str = DEFAULT_BRANCH,
    ) -> Row | None:
        """A new, empty project; None where the path is taken. Refused where it is no path."""
        if not PATH.fullmatch(path) or path.endswith((".git", ".atom")):
            words = (
                "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-', end in '.git' or '.atom'"
            )
            raise Refused({"path": [words]})
        if self.store.find("project", "path_with_namespace", path) is not None:
            return None
        self.namespace(path.rpartition("/")[0])
        row: Row = {"path": path.rpartition("/")[2], "path_with_namespace": path, "visibility": visibility}
        row |= {"name": name or row["path"], "description": description, "default_branch": default_branch}
        row = self.store.add("project", {**row, "created_at": now()})
        self.repository(row).remove()
        await self.repository(row).create(default_branch)
        return row

    async def remove_project(self, row: Row) -> None:
        """Forget it, its repository and its pipelines."""
        await self.pipelines.forget(row)
        for fault in self.store.list("fault"):
            if fault["project"] == row["id"]:
                self.store.remove("fault", fault["id"])
        self.store.remove_project(row["id"])
        shutil.rmtree(self.repository(row).path, ignore_errors=True)

    def repository(self, row: Row) -> Repository:
        """The repository of a project."""
        return Repository(self._repositories / f"{row['id']}.git")

    async def shaped(self, row: Row, *, level: int | None = None) -> Row:
        """The project as the API shows it."""
        empty = not await self.repository(row).branches()
        namespace = self.namespace(row["path_with_namespace"].rpartition("/")[0])
        return shapes.project(row, self.base_url, namespace, empty=empty, level=level)

    async def commit(
        self,
        row: Row,
        branch: str,
        start: str | None,
        actions: Sequence[Action],
        message: str,
        author: Author,
        *,
        force: bool = False,
        by: Row | None = None,
    ) -> CommitInfo:
        """A commit through the API; Refused in GitLab's words where it does not fit."""
        repository = self.repository(row)
        branches = await repository.branches()
        if branch in branches and start and start != branch and not force:
            raise Refused(f"A branch called '{branch}' already exists. Switch to that branch in order to make changes")
        if branch not in branches and branches and not start:
            raise Refused("You can only create or edit files when you are on a branch")
        parent = await repository.resolve(start or branch) if branches else None
        if branches and parent is None:
            raise Refused(f"Cannot find start_branch '{start}'" if start else "Invalid branch")
        sha = await repository.commit(branch, parent, actions, message, author, force=force)
        await self.pushed(row, {f"refs/heads/{branch}": (branches.get(branch, NOWHERE), sha)}, by)
        [info] = await repository.log(sha, limit=1)
        return info

    async def pushed(
        self, row: Row, refs: Mapping[str, tuple[str, str]], by: Row | None = None, *, skip_ci: bool = False
    ) -> None:
        """What follows when refs moved (ref → before, after): hooks, and the pipelines of branches and tags."""
        repository = self.repository(row)
        self.store.update("project", row["id"], last_activity_at=now())
        await self._keep_default_branch(row, repository)
        for ref, (before, after) in refs.items():
            await self._push_hook(row, repository, ref, before, after, by or self.root)
            if after != NOWHERE:
                project = self.project(str(row["id"]))
                await self.pipelines.pushed(project, repository, ref, before, after, skip_ci=skip_ci)

    async def _keep_default_branch(self, row: Row, repository: Repository) -> None:
        """The first branch that is pushed to an empty project becomes its default branch, as on GitLab."""
        branches = await repository.branches()
        if branches and row["default_branch"] not in branches and len(branches) == 1:
            [only] = branches
            self.store.update("project", row["id"], default_branch=only)
            await repository.git("symbolic-ref", "HEAD", f"refs/heads/{only}")

    async def _push_hook(self, row: Row, repository: Repository, ref: str, before: str, after: str, by: Row) -> None:
        trigger = "tag_push_events" if ref.startswith("refs/tags/") else "push_events"
        if not any(hook.wants(trigger) for hook in self.hooks.of(row["id"])):
            return
        commits: list[Row] = []
        if after != NOWHERE and trigger == "push_events":
            revisions = (after,) if before == NOWHERE else (after, f"^{before}")
            infos = await repository.log(*revisions, limit=SENT_COMMITS)
            commits = [shapes.commit(info, row, self.base_url) for info in reversed(infos)]
        payload = hook_payloads.push(ref, before, after, commits, row, self.base_url, by)
        self.hooks.fire(row["id"], trigger, payload, ref.removeprefix("refs/heads/"))

    def _changed(self, kind: str, row: Row, pipeline: Row) -> None:
        """A pipeline or job has another status: its hooks."""
        project = self.store.get("project", row["project_id"])
        if project is None or not any(hook.wants(f"{kind}_events") for hook in self.hooks.of(project["id"])):
            return
        if kind == "job":
            payload = hook_payloads.job(row, pipeline, project, self.base_url, self.root)
        else:
            jobs = self.pipelines.jobs(row["id"])
            payload = hook_payloads.pipeline(row, jobs, project, self.base_url, self.root)
        self.hooks.fire(project["id"], f"{kind}_events", payload)

    def empty_context(self, row: Row) -> Context:
        """What a pipeline sees of a repository without a commit."""
        return Context(row["default_branch"], row["default_branch"])
