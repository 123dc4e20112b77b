"""What the sandbox's GitLab remembers beside its repositories: one SQLite file, so that a restart keeps it."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Row = dict[str, Any]
# What is looked up by a field of its own has an index; the name of the field is part of the statement.
INDEXED = ("pipeline_id", "token", "path_with_namespace", "full_path", "hook_id", "sha")
SCHEMA = """
create table if not exists record (kind text, id integer, project integer, body text, primary key (kind, id));
create index if not exists by_project on record (kind, project);
create table if not exists trace_part (job integer, text text);
create index if not exists by_job on trace_part (job);
""" + "".join(
    f"create index if not exists by_{name} on record (kind, json_extract(body, '$.{name}'));\n" for name in INDEXED
)


class Store:
    """Records of a kind (project, pipeline, job, hook) as JSON, by id."""

    def __init__(self, path: Path) -> None:
        """Open or create the file."""
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=normal")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, kind: str, row: Row, *, project: int = 0) -> Row:
        """Store a new record; the record with its id, the next of its kind."""
        [(newest,)] = self._db.execute("select coalesce(max(id), 0) from record where kind = ?", (kind,))
        row = {"id": newest + 1, **row}
        self._db.execute("insert into record values (?, ?, ?, ?)", (kind, row["id"], project, json.dumps(row)))
        return row

    def get(self, kind: str, key: int) -> Row | None:
        """One record; None where there is none."""
        found = self._db.execute("select body from record where kind = ? and id = ?", (kind, key)).fetchone()
        return json.loads(found[0]) if found else None

    def find(self, kind: str, name: str, value: Any) -> Row | None:
        """The newest record whose field (one of INDEXED) has this value; None where there is none."""
        return next(iter(self.where(kind, name, value)), None)

    def where(self, kind: str, name: str, value: Any) -> list[Row]:
        """All records whose field (one of INDEXED) has this value, newest first."""
        if name not in INDEXED:
            raise KeyError(name)
        query = f"select body from record where kind = ? and json_extract(body, '$.{name}') = ? order by id desc"  # noqa: S608 - one of a fixed list
        return [json.loads(body) for (body,) in self._db.execute(query, (kind, value))]

    def newest(self, kind: str, project: int) -> Row | None:
        """The newest record of a kind of a project; None where there is none."""
        query = "select body from record where kind = ? and project = ? order by id desc limit 1"
        found = self._db.execute(query, (kind, project)).fetchone()
        return json.loads(found[0]) if found else None

    def update(self, kind: str, key: int, /, **changes: Any) -> Row:
        """Change fields of a record; the record as it is now. KeyError where there is none."""
        row = self.get(kind, key)
        if row is None:
            raise KeyError(f"{kind} {key}")
        row |= changes
        self._db.execute("update record set body = ? where kind = ? and id = ?", (json.dumps(row), kind, key))
        return row

    def list(self, kind: str, *, project: int | None = None) -> list[Row]:
        """All records of a kind (of one project), newest first."""
        where, values = ("", (kind,)) if project is None else (" and project = ?", (kind, project))
        query = f"select body from record where kind = ?{where} order by id desc"  # noqa: S608 - two fixed strings
        return [json.loads(body) for (body,) in self._db.execute(query, values)]

    def remove(self, kind: str, key: int) -> None:
        """Forget one record, and the trace where it is a job."""
        self._db.execute("delete from record where kind = ? and id = ?", (kind, key))
        if kind == "job":
            self._db.execute("delete from trace_part where job = ?", (key,))

    def remove_project(self, project: int) -> None:
        """Forget a project and all that belongs to it."""
        jobs = "select id from record where kind = 'job' and project = ?"
        self._db.execute(f"delete from trace_part where job in ({jobs})", (project,))  # noqa: S608 - a fixed string
        self._db.execute("delete from record where (kind = 'project' and id = ?) or project = ?", (project, project))

    def append_trace(self, job: int, text: str) -> None:
        """Add to the trace of a job."""
        self._db.execute("insert into trace_part values (?, ?)", (job, text))

    def trace(self, job: int) -> str:
        """The trace of a job; empty where it has none."""
        parts = self._db.execute("select text from trace_part where job = ? order by rowid", (job,))
        return "".join(text for (text,) in parts)

    def trace_size(self, job: int) -> int:
        """How long the trace of a job is, in characters."""
        [(size,)] = self._db.execute("select coalesce(sum(length(text)), 0) from trace_part where job = ?", (job,))
        return int(size)

    def erase_trace(self, job: int) -> None:
        """Forget the trace of a job."""
        self._db.execute("delete from trace_part where job = ?", (job,))
