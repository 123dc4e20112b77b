"""`greenrun secrets`: written once, for its owner alone, and brought up to date without changing what is there."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from greenrun.cli import app
from greenrun.nats_users import FIRST_LINE
from greenrun.secrets import USERS_FILE
from shared.permissions import USERS


def call(*argv: str) -> Result:
    """The command as it is typed."""
    return CliRunner().invoke(app, ["secrets", *argv])


def contents(folder: Path) -> dict[str, str]:
    """Every file's text by its name."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_what_is_made_is_for_its_owner_alone_and_the_server_holds_no_password(tmp_path: Path) -> None:
    """A password for each user, the gateway's tokens; nothing of it is printed or stands in the server's table."""
    folder = tmp_path / "secrets"
    done = call("init", str(folder))
    assert done.exit_code == 0, done.output
    made = contents(folder)
    assert {f"nats_password_{user}" for user in USERS} | {"gateway_token", "webhook_secret", USERS_FILE} <= made.keys()
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    secret = {text for name, text in made.items() if text and name != USERS_FILE}
    assert len(secret) == len(USERS) + 2
    assert all(len(text) >= 43 for text in secret)
    assert not any(text in made[USERS_FILE] or text in done.output for text in secret)


def test_a_second_time_changes_nothing_and_adds_what_is_missing(tmp_path: Path) -> None:
    """What a person put there stays; a file that is gone is made again, and the table follows it."""
    (tmp_path / "gitlab_token").write_text("glpat-own")
    call("init", str(tmp_path))
    before = contents(tmp_path)
    assert "nothing, all of it is there" in call("init", str(tmp_path)).output
    assert contents(tmp_path) == before
    (tmp_path / "nats_password_healer").unlink()
    assert call("init", str(tmp_path)).exit_code == 0
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"nats_password_healer", USERS_FILE}
    assert after["gitlab_token"] == "glpat-own"


def test_a_rotation_replaces_one_secret_alone(tmp_path: Path) -> None:
    """The user's password and hash are new, all others as they were; an unknown name is refused."""
    call("init", str(tmp_path))
    before = contents(tmp_path)
    done = call("rotate", str(tmp_path), "monitor")
    assert (done.exit_code, "start monitor again" in done.output) == (0, True)
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"nats_password_monitor", USERS_FILE}
    hashes = re.compile(r'password: "(.*)"')
    assert len(set(hashes.findall(before[USERS_FILE])) & set(hashes.findall(after[USERS_FILE]))) == len(USERS) - 1
    assert call("rotate", str(tmp_path), "gateway_token").exit_code == 0
    assert call("rotate", str(tmp_path), "nobody").exit_code == 2


def test_with_nkeys_the_server_knows_public_keys_alone(tmp_path: Path) -> None:
    """No password is made, and no seed stands in the server's table."""
    call("init", "--nkeys", str(tmp_path))
    made = contents(tmp_path)
    assert not any(name.startswith("nats_password") for name in made)
    assert len(re.findall(r'nkey: "U[A-Z2-7]{55}"', made[USERS_FILE])) == len(USERS)
    assert "password" not in made[USERS_FILE]
    assert not any(made[f"nats_nkey_seed_{user}"] in made[USERS_FILE] for user in USERS)


def test_for_containers_the_folder_is_what_keeps_others_out(tmp_path: Path) -> None:
    """Files that any user of a container may read, in a folder that its owner alone may enter; else it is refused."""
    closed = tmp_path / "closed"
    assert call("init", "--mounted", str(closed)).exit_code == 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in closed.iterdir()} == {0o444}
    call("rotate", str(closed), "healer")
    assert stat.S_IMODE((closed / "nats_password_healer").stat().st_mode) == 0o444
    opened = tmp_path / "open"
    opened.mkdir(mode=0o755)
    refused = call("init", "--mounted", str(opened))
    assert (refused.exit_code, list(opened.iterdir())) == (2, [])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [(USERS_FILE, "authorization {}", "was not made by greenrun"), ("nats_nkey_seed_healer", "SUNONE", "no nkey seed")],
)
def test_what_is_not_its_own_is_left_as_it_is(tmp_path: Path, name: str, text: str, said: str) -> None:
    """A sentence that names the file, without its content where that may be a secret."""
    (tmp_path / name).write_text(text)
    done = call("init", str(tmp_path))
    assert (done.exit_code, (tmp_path / name).read_text()) == (2, text)
    words = " ".join(done.output.split())
    assert said in words
    assert "SUNONE" not in words


def test_the_table_says_who_made_it(tmp_path: Path) -> None:
    """Its first line is what a later version believes."""
    call("init", str(tmp_path))
    assert (tmp_path / USERS_FILE).read_text().startswith(FIRST_LINE)
