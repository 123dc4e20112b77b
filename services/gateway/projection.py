"""The list of runs in SQLite: a projection of the log through the one fold, to be deleted and made again at will.

It keeps of each run what a list shows. The last sequence is written in the same transaction as the runs, so that a
process that dies goes on where its file ends. A run's id begins with its time: pages and time filters go by it.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TextIO

from ulid import ULID

from services.gateway.rows import project_of, slim
from shared.errors import Reject
from shared.history import Run, advance
from shared.logging import logger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from shared.history import Record

# Another number makes every gateway fold its list anew.
SCHEMA_VERSION = 1
RUNS_REMEMBERED = 5_000
# In the order in which they narrow: the first that is given is the one whose index is read.
FILTERS = ("project", "language", "decision", "status")
TABLES = f"""
begin;
create table meta (log text not null, sequence integer not null);
insert into meta values ('', 0);
create table runs (
    run_id text primary key, status text not null, project text, language text, decision text,
    sequence integer not null, state text not null
);
{
    "".join(
        f"create index by_{name} on runs ({name}, run_id, {', '.join(other for other in FILTERS if other != name)});"
        for name in FILTERS
    )
}
pragma user_version = {SCHEMA_VERSION};
commit;
"""  # noqa: S608 - names of columns
UPSERT = """
insert into runs values (?, ?, ?, ?, ?, ?, ?) on conflict (run_id) do update set status = excluded.status,
project = excluded.project, language = excluded.language, decision = excluded.decision, sequence = excluded.sequence,
state = excluded.state
"""
log = logger("projection")


@dataclass(frozen=True)
class Wanted:
    """What a page is of: equal to each that is given; `since` and `until` are about the time of submission."""

    status: str | None = None
    project: str | None = None
    language: str | None = None
    decision: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Runs, newest first; `next` is the cursor of the page after it. It is true up to the sequence of the log."""

    runs: tuple[Run, ...]
    next: str | None
    sequence: int


class Projection:
    """One SQLite file with one writer, which is whoever opened it. Use it as a context.

    Reading and writing may be done in one thread each at the same time.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; Reject where another process has it or it cannot be written."""
        self._path = path
        self._lock = _locked(path)
        self._runs: OrderedDict[str, Run] = OrderedDict()
        try:
            self._writer = self._opened()
            self._reader = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            self._lock.close()
            raise Reject(f"the list of runs {path} cannot be kept: {error}; choose another GATEWAY_DATA") from error

    def __enter__(self) -> Self:
        """The projection itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file and let another process have it."""
        self._reader.close()
        self._writer.close()
        self._lock.close()

    def resume(self, log_id: str, first: int) -> int:
        """The sequence after which to go on in this log; what is of another log, or has left it, is forgotten.

        `first` is the oldest sequence that the log still has.
        """
        kept_log, sequence = self._writer.execute("select log, sequence from meta").fetchone()
        with _Transaction(self._writer, "immediate"):
            if kept_log != log_id or not log_id:
                self._runs.clear()
                self._writer.execute("delete from runs")
                self._writer.execute("update meta set log = ?, sequence = 0", (log_id,))
                return 0
            self._writer.execute("delete from runs where sequence < ?", (first,))
        return int(sequence)

    def forget(self) -> None:
        """Begin again: nothing is known of any log."""
        self.resume("", 0)

    def apply(self, records: Sequence[Record], sequence: int) -> None:
        """Fold events that follow on what is known, in the order of the log; all up to `sequence` is known then."""
        changed: dict[str, tuple[Run, int]] = {}
        with _Transaction(self._writer, "immediate"):
            (known,) = self._writer.execute("select sequence from meta").fetchone()
            for record in records:
                if record.sequence > known:
                    run_id = record.event.run_id
                    before = changed[run_id][0] if run_id in changed else self._run(run_id)
                    changed[run_id] = (slim(advance(before, record)), record.sequence)
            self._writer.executemany(UPSERT, (_row(run, at) for run, at in changed.values()))
            self._writer.execute("update meta set sequence = ?", (max(known, sequence),))
        self._remember({run_id: run for run_id, (run, _) in changed.items()})

    def _remember(self, runs: Mapping[str, Run]) -> None:
        """Runs that move are soon asked for again."""
        self._runs |= runs
        for run_id in runs:
            self._runs.move_to_end(run_id)
        while len(self._runs) > RUNS_REMEMBERED:
            self._runs.popitem(last=False)

    def page(self, wanted: Wanted, limit: int, cursor: str | None = None) -> Page:
        """The newest runs that are wanted, those after the cursor of the page before it; new runs move no page."""
        where, values = _conditions(wanted, cursor)
        query = f"select state from runs {where} order by run_id desc limit ?"  # noqa: S608 - names of columns
        with _Transaction(self._reader, "deferred"):
            rows = self._reader.execute(query, (*values, limit + 1)).fetchall()
            (sequence,) = self._reader.execute("select sequence from meta").fetchone()
        runs = tuple(Run.model_validate_json(state) for (state,) in rows[:limit])
        return Page(runs, runs[-1].run_id if len(rows) > limit else None, sequence)

    def counts(self) -> dict[str, int]:
        """The number of runs by status."""
        return dict(self._reader.execute("select status, count(*) from runs group by status"))

    def _run(self, run_id: str) -> Run:
        if run_id not in self._runs:
            row = self._writer.execute("select state from runs where run_id = ?", (run_id,)).fetchone()
            return Run.model_validate_json(row[0]) if row else Run()
        return self._runs[run_id]

    def _opened(self) -> sqlite3.Connection:
        """The file with its tables; one of another version, or that cannot be read, is made anew."""
        writer = _connected(self._path)
        with suppress(sqlite3.DatabaseError):
            if writer.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,):
                writer.execute("select * from meta").fetchall()
                return writer
        writer.close()
        remove(self._path)
        writer = _connected(self._path)
        writer.executescript(TABLES)
        return writer


class _Transaction:
    """All or nothing; sqlite3's own context begins none with isolation_level None."""

    def __init__(self, connection: sqlite3.Connection, kind: str) -> None:
        self._connection = connection
        self._kind = kind

    def __enter__(self) -> None:
        self._connection.execute(f"begin {self._kind}")

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("rollback" if error else "commit")


def remove(path: Path) -> None:
    """Delete a list of runs with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    with suppress(sqlite3.DatabaseError):
        # The log has everything: a power failure may cost the newest rows, never the file.
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
    return connection


def _locked(path: Path) -> TextIO:
    """Hold the file for this process; Reject where another one does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise Reject(f"{path} cannot be written: {error.strerror}; choose another GATEWAY_DATA") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise Reject(f"another gateway keeps its list of runs in {path}; each needs its own GATEWAY_DATA") from error
    return lock


def _row(run: Run, sequence: int) -> tuple[str | int | None, ...]:
    language = run.analysis.language if run.analysis else None
    state = run.model_dump_json(exclude_defaults=True)
    return (run.run_id, run.status, project_of(run), language, run.decision, sequence, state)


def _conditions(wanted: Wanted, cursor: str | None) -> tuple[str, list[str]]:
    """The index, the where clause and its values."""
    equal = [(f"{name} = ?", value) for name in FILTERS if (value := getattr(wanted, name)) is not None]
    bounds = [("run_id < ?", cursor)] if cursor else []
    bounds += [("run_id >= ?", first_id(wanted.since))] if wanted.since else []
    bounds += [("run_id < ?", first_id(wanted.until))] if wanted.until else []
    both = [*equal, *bounds]
    # Without a word SQLite may read all runs of a status to find the few of a project.
    index = f"indexed by by_{equal[0][0].split()[0]}" if equal else ""
    words = " and ".join(words for words, _ in both) or "true"
    return f"{index} where {words}", [value for _, value in both]


def first_id(moment: datetime) -> str:
    """The smallest id that a run submitted at this moment can have."""
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return str(ULID.from_bytes(milliseconds.to_bytes(6, "big") + bytes(10)))
