"""The list of runs: what the one fold says, in pages that stand still, in a file that can be thrown away."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from services.gateway.projection import Projection, Wanted, first_id
from services.gateway.rows import project_of, slim
from shared.errors import Reject
from shared.events import Event, RepoSubmitted, RunFailed, new_run_id
from shared.history import Run, advance, fold
from tests.gateway.story import endings, healed, stored

LOG = "2026-01-01T00:00:00Z"
EVERYTHING = Wanted()


def submitted(run_id: str, url: str = "https://gitlab.example/shop/web.git") -> RepoSubmitted:
    """The first event of a run."""
    return RepoSubmitted(run_id=run_id, repo_url=url)


def filled(path: Path, *events: Event) -> Projection:
    """A projection that has folded these events."""
    projection = Projection(path)
    projection.resume(LOG, 1)
    projection.apply(stored(list(events)), len(events))
    return projection


def ids(projection: Projection, wanted: Wanted = EVERYTHING, limit: int = 50) -> list[str]:
    """The ids of the first page."""
    return [run.run_id for run in projection.page(wanted, limit).runs]


@given(st.permutations([*healed("R"), *endings("R")]), st.integers(min_value=0, max_value=11))
def test_what_the_list_keeps_folds_as_the_whole_run(events: list[Event], cut: int) -> None:
    """Whatever comes in whatever order, and wherever the process was restarted: the same row."""
    records = stored(events)
    run = slim(fold(records[:cut])) if cut else Run()
    for record in records[cut:]:
        run = slim(advance(run, record))
    assert run == slim(fold(records))


def test_the_list_says_what_the_fold_says(tmp_path: Path) -> None:
    """A healed run beside a failed one, folded one event at a time."""
    good, bad = new_run_id(), new_run_id()
    events = [*healed(good), submitted(bad), RunFailed(run_id=bad, phase="analyzer", reason="no code")]
    with filled(tmp_path / "runs.db", *events) as projection:
        page = projection.page(EVERYTHING, 10)
        by_id = {run.run_id: run for run in page.runs}
        assert (by_id[good].status, by_id[good].attempt, project_of(by_id[good])) == ("passed", 2, "shop/web")
        failure = by_id[bad].failure
        assert failure is not None
        assert (by_id[bad].status, failure.reason) == ("failed", "no code")
        assert page.sequence == len(events)
        assert projection.counts() == {"passed": 1, "failed": 1}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(status="passed"), ["a"]),
        (Wanted(status="running"), ["b", "c"]),
        (Wanted(project="shop/web"), ["a"]),
        (Wanted(project="other/api", status="running"), ["b"]),
        (Wanted(language="python"), ["a"]),
        (Wanted(decision="llm-generated", language="python"), ["a"]),
        (Wanted(decision="chromadb-direct"), []),
        (Wanted(status="' or 1=1 --"), []),
    ],
)
def test_filters(tmp_path: Path, wanted: Wanted, found: list[str]) -> None:
    """Each alone and together; before a commit the project is the repository's own path."""
    events = [*healed("a"), submitted("b", "git@gitlab.example:other/api.git"), submitted("c", "https://x/y/z")]
    with filled(tmp_path / "runs.db", *events) as projection:
        assert sorted(ids(projection, wanted)) == found


def test_time_is_that_of_the_submission(tmp_path: Path) -> None:
    """From a moment on, up to but without another one."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    hours = [str(ULID.from_datetime(noon + timedelta(hours=n))) for n in range(3)]
    with filled(tmp_path / "runs.db", *map(submitted, hours)) as projection:
        assert ids(projection, Wanted(since=noon + timedelta(hours=1))) == [hours[2], hours[1]]
        assert ids(projection, Wanted(until=noon + timedelta(hours=1))) == [hours[0]]
        assert first_id(noon) <= hours[0] < first_id(noon + timedelta(milliseconds=1))


def test_pages_stand_still_while_runs_arrive(tmp_path: Path) -> None:
    """Every run of the beginning is seen once, whatever comes in between."""
    runs = [f"{n:026d}" for n in range(10)]
    with filled(tmp_path / "runs.db", *map(submitted, runs)) as projection:
        seen, cursor, new = [], None, 10
        while True:
            page = projection.page(EVERYTHING, 3, cursor)
            seen += [run.run_id for run in page.runs]
            if page.next is None:
                break
            cursor, new = page.next, new + 1
            projection.apply(stored([submitted(f"{new:026d}")], first=new), new)
        assert seen == list(reversed(runs))


def test_a_file_is_gone_on_with_where_it_ends(tmp_path: Path) -> None:
    """What comes a second time changes nothing; the sequence is that of what was folded."""
    events = healed("R")
    with filled(tmp_path / "runs.db", *events[:4]):
        pass
    with Projection(tmp_path / "runs.db") as projection:
        assert projection.resume(LOG, 1) == 4
        projection.apply(stored(events), len(events))
        [run] = projection.page(EVERYTHING, 10).runs
    assert run == slim(fold(stored(events)))


def test_another_log_begins_anew_and_what_left_the_log_is_forgotten(tmp_path: Path) -> None:
    """A list never shows runs that their log does not have."""
    with filled(tmp_path / "runs.db", submitted("old"), submitted("young")) as projection:
        assert projection.resume(LOG, 2) == 2
        assert ids(projection) == ["young"]
        assert projection.resume("another log", 1) == 0
        assert ids(projection) == []


@pytest.mark.parametrize("spoilt", [b"not a database, but long enough to be looked at" * 50, b""])
def test_a_file_that_cannot_be_read_is_made_anew(tmp_path: Path, spoilt: bytes) -> None:
    """The log has everything."""
    (tmp_path / "runs.db").write_bytes(spoilt)
    with filled(tmp_path / "runs.db", submitted("a")) as projection:
        assert ids(projection) == ["a"]


def test_a_file_of_another_version_is_made_anew(tmp_path: Path) -> None:
    """What an older gateway kept is not guessed at."""
    with filled(tmp_path / "runs.db", submitted("a")):
        pass
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        connection.execute("pragma user_version = 0")
    connection.close()
    with Projection(tmp_path / "runs.db") as projection:
        assert projection.resume(LOG, 1) == 0


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    """A second gateway is told to take its own folder."""
    with Projection(tmp_path / "runs.db"), pytest.raises(Reject, match="GATEWAY_DATA"):
        Projection(tmp_path / "runs.db")


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Neither half of the runs nor a sequence that was not reached."""
    with filled(tmp_path / "runs.db", submitted("a")) as projection:
        broken = stored([submitted("b"), submitted("c")], first=2)
        object.__setattr__(broken[1], "sequence", "no number")
        with pytest.raises(TypeError):
            projection.apply(broken, 3)
        assert ids(projection) == ["a"]
        projection.apply(stored([submitted("b")], first=2), 2)
        assert ids(projection) == ["b", "a"]
