"""Archives between jobs, and what a container's services are called: the parts that need no server."""

from __future__ import annotations

import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.gitlab.executor_environment import parse_dotenv
from sandbox.gitlab.executor_files import cache_key, found, pack, unpack
from sandbox.gitlab.executor_network import service_aliases
from sandbox.gitlab.trace_mask import Mask


def test_an_archive_writes_nothing_outside_the_checkout(tmp_path: Path) -> None:
    """Paths that climb, absolute ones, links that lead away: left out; the rest is there."""
    archive, root = tmp_path / "a.zip", tmp_path / "in" / "root"
    root.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("../climbed", "x")
        packed.writestr("/etc/greenrun-test", "x")
        packed.writestr("good/x", "x")
        link = zipfile.ZipInfo("away")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "/etc")
    unpack(archive, root)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*")) if path.is_file()] == [
        "a.zip",
        "in/root/good/x",
    ]
    assert not (root / "away").is_symlink()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("dist", ["dist/a.js", "dist/sub/b.js"]),
        ("dist/", ["dist/a.js", "dist/sub/b.js"]),
        ("./dist/*.js", ["dist/a.js"]),
        ("dist/**/*.js", ["dist/a.js", "dist/sub/b.js"]),
        ("**/*.js", ["dist/a.js", "dist/sub/b.js"]),
        ("*.txt", ["x.txt"]),
        ("nothing", []),
        (".", ["dist/a.js", "dist/sub/b.js", "x.txt"]),
    ],
)
def test_patterns_name_what_gitlabs_do(tmp_path: Path, pattern: str, names: list[str]) -> None:
    """Folders with all below them, one level with a star, any with two; never the repository itself."""
    for name in ("dist/a.js", "dist/sub/b.js", "x.txt", ".git/config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert found(tmp_path, [pattern]).paths == names


def test_what_is_packed_comes_back_as_it_was(tmp_path: Path) -> None:
    """Content, the executable bit, and links."""
    source, target = tmp_path / "s", tmp_path / "t"
    (source / "d").mkdir(parents=True)
    target.mkdir()
    (source / "d" / "run").write_bytes(b"\0\1")
    (source / "d" / "run").chmod(0o755)
    (source / "d" / "link").symlink_to("run")
    pack(source, found(source, ["d"]).paths, tmp_path / "a.zip")
    assert unpack(tmp_path / "a.zip", target) == 2
    assert (target / "d" / "run").read_bytes() == b"\0\1"
    assert (target / "d" / "run").stat().st_mode & 0o100
    assert (target / "d" / "link").readlink() == Path("run")


def test_a_cache_key_follows_its_files(tmp_path: Path) -> None:
    """The same content is the same key, whatever else changes; without the files it is `default`."""
    cache = {"key": {"files": ["lock"], "prefix": "pip"}}
    assert cache_key(cache, tmp_path) == "pip-default"
    (tmp_path / "lock").write_text("1")
    first = cache_key(cache, tmp_path)
    (tmp_path / "lock").write_text("2")
    assert cache_key(cache, tmp_path) != first
    assert cache_key({"paths": []}, tmp_path) == "default"


@given(st.lists(st.text("abS\n", max_size=12), max_size=12))
def test_a_value_is_masked_however_it_comes(chunks: list[str]) -> None:
    """In pieces of any size, nothing of the output lost but the value."""
    mask = Mask(["abSab"])
    shown = "".join([*(mask.feed(chunk.encode()) for chunk in chunks), mask.end()])
    assert "abSab" not in shown
    assert shown == "".join(chunks).replace("abSab", "[MASKED]")


def test_a_long_line_without_an_end_is_shown_and_still_masked() -> None:
    """A progress bar does not fill the memory; a value on the border of two pieces is found."""
    mask = Mask(["secret-value"])
    shown = mask.feed(b"x" * 70_000 + b"secret-") + mask.feed(b"value" + b"y" * 70_000) + mask.end()
    assert "secret-value" not in shown
    assert "[MASKED]" in shown
    assert len(shown) == 140_000 + len("[MASKED]")


def test_dotenv_files_as_gitlab_reads_them() -> None:
    """Names and values, quotes off; anything else is an error."""
    assert parse_dotenv("A=1\nB='x y'\nC=a=b\n") == {"A": "1", "B": "x y", "C": "a=b"}
    for wrong in ("# comment", "A", "1A=x", "A B=x", ""):
        if wrong:
            with pytest.raises(ValueError, match="Invalid Format"):
                parse_dotenv(wrong)


@pytest.mark.parametrize(
    ("image", "details", "names"),
    [
        ("postgres:16", {}, ["postgres"]),
        ("reg.example:5001/docker.io/library/redis:7", {}, ["docker.io__library__redis", "docker.io-library-redis"]),
        ("tutum/wordpress", {}, ["tutum__wordpress", "tutum-wordpress"]),
        ("postgres:16", {"alias": "db,pg"}, ["postgres", "db", "pg"]),
    ],
)
def test_services_are_reached_under_gitlabs_names(image: str, details: dict[str, Any], names: list[str]) -> None:
    """Without registry and tag, the slash as two underscores or a dash; aliases besides."""
    assert service_aliases(image, details) == names


def test_jobs_that_save_the_same_cache_at_once_spoil_nothing(tmp_path: Path) -> None:
    """Each writes its own archive; the last one stays whole."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("a", "b"):
        (checkout / name).write_bytes(os.urandom(2_000_000))
    archive = tmp_path / "cache.zip"
    with ThreadPoolExecutor() as pool:
        saved = [pool.submit(pack, checkout, paths, archive) for paths in (["a", "b"], ["a"], ["b", "a"]) * 4]
    assert all(one.result() > 0 for one in saved)
    assert zipfile.ZipFile(archive).testzip() is None
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []
