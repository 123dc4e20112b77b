"""Who calls: users by their tokens, project tokens, job tokens; what each may see and do."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.gitlab.refusals import Forbidden, Unauthorized

if TYPE_CHECKING:
    from sandbox.gitlab.store import Row, Store

GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER = 10, 20, 30, 40, 50
READS = frozenset({"GET", "HEAD"})
REVOKED = "Token was revoked. You have to re-authorize from the user."
TOO_LITTLE = "The request requires higher privileges than provided by the access token."


@dataclass(frozen=True)
class Caller:
    """Somebody with a token; `project` and `job` are set where the token is good for these alone."""

    user: Row
    level: int
    scopes: frozenset[str] = frozenset({"api"})
    project: int | None = None
    job: int | None = None

    def sees(self, project: Row) -> bool:
        """Whether the project exists for this caller."""
        return project["visibility"] == "public" or self.project in (None, project["id"])

    def level_in(self, project: Row) -> int:
        """The access level in a project; 0 where it is only read because it is public."""
        return self.level if self.project in (None, project["id"]) else 0

    def check_scope(self, method: str) -> None:
        """Forbidden where the token's scopes do not reach as far as the method."""
        if "api" in self.scopes or (method in READS and "read_api" in self.scopes) or self.job is not None:
            return
        raise Forbidden(error="insufficient_scope", error_description=TOO_LITTLE, scope="api")

    def may_use_git(self, *, push: bool) -> bool:
        """Whether the token's scopes allow to fetch, or to push."""
        allowed = {"api", "write_repository"} | (set() if push else {"read_repository"})
        return bool(self.scopes & allowed) if self.job is None else not push


class Access:
    """All tokens."""

    def __init__(self, store: Store, root: Row) -> None:
        """`root` is the administrator, with the token that the server was started with."""
        self._store = store
        self.root = root

    def add_token(
        self, username: str, token: str, level: int, *, scopes: frozenset[str] = frozenset({"api"}), project: int | None
    ) -> None:
        """A further user with one token; `project` where it is a project access token."""
        row: Row = {"username": username, "name": username, "email": f"{username}@example.com", "token": token}
        row |= {"access_level": level, "scopes": sorted(scopes), "project": project, "revoked": False}
        self._store.add("user", {**row, "id": 1000 + len(self._store.list("user"))})

    def revoke(self, token: str) -> None:
        """The token is good for nothing from now on; KeyError where there is none."""
        user = self._user(token)
        if user is None:
            raise KeyError("token")
        self._store.update("user", user["id"], revoked=True)

    def caller(self, token: str) -> Caller:
        """Whose token it is. Unauthorized where nobody's, or where it was revoked."""
        if secrets.compare_digest(token.encode(), self.root["token"].encode()):
            return Caller(self.root, OWNER)
        user = self._user(token)
        if user is None:
            raise Unauthorized
        if user.get("revoked"):
            raise Unauthorized(error="invalid_token", error_description=REVOKED)
        scopes = frozenset(user.get("scopes") or ["api"])
        return Caller(user, user["access_level"], scopes, user.get("project"))

    def job_caller(self, token: str) -> Caller:
        """Whose job the token belongs to. Unauthorized where none that runs has it."""
        job = self._store.find("job", "token", token) if token else None
        if job is None or job["status"] != "running":
            raise Unauthorized
        return Caller(self.root, REPORTER, frozenset(), job["project_id"], job["id"])

    def _user(self, token: str) -> Row | None:
        return self._store.find("user", "token", token)
