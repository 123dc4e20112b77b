"""Repositories that mean harm, made with git's plumbing; and servers that cannot do all that the first fetch asks."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from sandbox.gitlab.repository import Repository
from sandbox.gitlab.smart_http import backend
from services.analyzer.settings import Settings
from shared.adapters import git_policy
from shared.errors import Reject
from tests.analyzer.conftest import Forge

TREE, BLOB = "040000 tree", "100644 blob"
FILES = {"app.py", "requirements.txt", "docs/a.md"}


def plumb(forge: Forge, *arguments: str, data: bytes = b"") -> str:
    """One git command in the bare repository of the server; what it prints."""
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    command = ["git", f"--git-dir={folder(forge)}", *arguments]
    return (
        subprocess.run(command, input=data, check=True, capture_output=True, env=names, timeout=60)
        .stdout.decode()
        .strip()
    )


def folder(forge: Forge) -> Path:
    """The bare repository."""
    return forge.server.data / "repositories" / "1.git"


def blob(forge: Forge, data: bytes) -> str:
    """The id of a blob with this content."""
    return plumb(forge, "hash-object", "-w", "--stdin", data=data)


def tree(forge: Forge, entries: list[tuple[str, str, bytes]]) -> str:
    """The id of a tree of (kind, id, name); git checks the names only when it checks out."""
    return plumb(
        forge, "mktree", "-z", data=b"".join(b"%s %s\t%s\0" % (k.encode(), i.encode(), n) for k, i, n in entries)
    )


def commit(forge: Forge, tree_id: str) -> None:
    """The tree becomes what `main` points at."""
    plumb(forge, "update-ref", "refs/heads/main", plumb(forge, "commit-tree", "-m", "hostile", tree_id))


async def test_names_are_only_names(forge: Forge) -> None:
    """Out of the tree, with controls, of arbitrary bytes, alike but for their case: listed and harmless."""
    one = blob(forge, b"x = 1\n")
    names = [b".git", b"..", b"A.py", b"a.py", b"a\\b.py", b"\x01\n.py", b"\xff.py", b"-rf.py"]
    commit(forge, tree(forge, sorted([(BLOB, one, name) for name in names], key=lambda entry: entry[2])))
    snapshot = await forge.source().read(forge.url, None)
    expected = {".git", "..", "A.py", "a.py", "a\\b.py", "\x01\n.py", "\\xff.py", "-rf.py"}
    assert {entry.path for entry in snapshot.tree} == expected


async def test_a_manifest_that_leads_elsewhere_is_not_read(forge: Forge) -> None:
    """A symlink, a submodule, a file of LFS: the first two are not there, the third is text."""
    link, pointer = blob(forge, b"/etc/passwd"), blob(forge, b"version https://git-lfs.github.com/spec/v1\n")
    entries = [("120000 blob", link, b"Pipfile"), (BLOB, pointer, b"package.json"), ("160000 commit", "1" * 40, b"sub")]
    commit(forge, tree(forge, entries))
    snapshot = await forge.source().read(forge.url, None)
    assert [entry.path for entry in snapshot.tree] == ["package.json"]
    assert snapshot.contents["package.json"].startswith(b"version https://git-lfs")


async def test_very_many_files_are_refused_by_name(forge: Forge) -> None:
    """Two hundred and one thousand files made of three objects."""
    one = blob(forge, b"x")
    inner = tree(forge, [(BLOB, one, b"f%03d.py" % number) for number in range(1000)])
    commit(forge, tree(forge, [(TREE, inner, b"d%03d" % number) for number in range(201)]))
    with pytest.raises(Reject, match="CLONE_MAX_FILES=200000"):
        await forge.source().read(forge.url, None)


async def test_trees_that_name_each_other_fill_no_memory(forge: Forge) -> None:
    """Ten to the tenth files, made of eleven objects."""
    inner = tree(forge, [(BLOB, blob(forge, b"x"), b"f%d.py" % number) for number in range(10)])
    for _ in range(9):
        inner = tree(forge, [(TREE, inner, b"d%d" % number) for number in range(10)])
    commit(forge, inner)
    with pytest.raises(Reject, match="CLONE_MAX_FILES"):
        await forge.source().read(forge.url, None)


@pytest.mark.parametrize("kind", ["120000 blob", "160000 commit", TREE])
async def test_what_is_no_file_counts_too(forge: Forge, kind: str) -> None:
    """Billions of links, submodules and empty folders: none is kept, and the first too many ends it."""
    leaf = {"120000 blob": blob(forge, b"/etc"), "160000 commit": "1" * 40, TREE: tree(forge, [])}[kind]
    inner = tree(forge, [(kind, leaf, b"e%d" % number) for number in range(10)])
    for _ in range(9):
        inner = tree(forge, [(TREE, inner, b"d%d" % number) for number in range(10)])
    commit(forge, inner)
    with pytest.raises(Reject, match="CLONE_MAX_FILES"):
        await forge.source().read(forge.url, None)


async def test_long_names_fill_no_memory(forge: Forge) -> None:
    """A hundred names of four thousand bytes, a hundred times: forty megabytes of names, made of two trees."""
    inner = tree(forge, [(BLOB, blob(forge, b"x"), b"%03d" % number + b"f" * 3900) for number in range(100)])
    commit(forge, tree(forge, [(TREE, inner, b"d%02d" % number) for number in range(100)]))
    with pytest.raises(Reject, match="256 bytes in the mean"):
        await forge.source(clone_max_files=100_000).read(forge.url, None)


async def test_a_path_that_no_system_takes_is_refused(forge: Forge) -> None:
    """One name of a megabyte; the error quotes its beginning."""
    commit(forge, tree(forge, [(BLOB, blob(forge, b"x"), b"f" * 1_000_000)]))
    with pytest.raises(Reject, match=r"path of more than 4096 bytes: b'f{80}'"):
        await forge.source().read(forge.url, None)


async def test_one_manifest_under_two_thousand_names_is_read_within_the_budget(forge: Forge) -> None:
    """Two gigabytes of manifests that are one blob: those nearest to the root are read, and no more than allowed."""
    one = blob(forge, bytes(1_000_000))
    inner = tree(forge, [(BLOB, one, b"package.json")])
    folders = [(TREE, inner, b"d%04d" % number) for number in range(2000)]
    commit(forge, tree(forge, [*folders, (BLOB, one, b"package.json")]))
    snapshot = await forge.source(manifests_max_bytes=3_000_000).read(forge.url, None)
    assert sorted(snapshot.contents) == ["d0000/package.json", "d0001/package.json", "package.json"]
    assert len(snapshot.tree) == 2001


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit (util-linux) is not installed")
async def test_an_object_that_unpacks_to_very_much_is_refused(forge: Forge) -> None:
    """One tree of a quarter of a gigabyte that packs to a fraction: git is stopped, not the machine."""
    commit(forge, tree(forge, [(BLOB, blob(forge, b"x"), b"f" * 250_000_000)]))
    with pytest.raises(Reject, match="CLONE_MAX_MEMORY"):
        await forge.source(clone_max_memory=200_000_000).read(forge.url, None)


async def test_very_deep_folders_are_refused_by_name(forge: Forge) -> None:
    """Deeper than any path that a tool would take."""
    inner = tree(forge, [(BLOB, blob(forge, b"x"), b"f.py")])
    for _ in range(100):
        inner = tree(forge, [(TREE, inner, b"d")])
    commit(forge, inner)
    with pytest.raises(Reject, match="CLONE_MAX_DEPTH=64"):
        await forge.source().read(forge.url, None)


async def test_a_huge_manifest_is_not_read(forge: Forge) -> None:
    """A hundred megabytes that pack to nothing: its size is known, its content is not loaded."""
    commit(forge, tree(forge, [(BLOB, blob(forge, bytes(100_000_000)), b"package.json")]))
    snapshot = await forge.source().read(forge.url, None)
    assert [(entry.path, entry.size) for entry in snapshot.tree] == [("package.json", 100_000_000)]
    assert snapshot.contents == {}


async def test_what_nobody_asks_for_is_not_fetched(forge: Forge) -> None:
    """Ten megabytes of noise beside the sources do not count against a limit of one."""
    entries = [(BLOB, blob(forge, b"x"), b"app.py"), (BLOB, blob(forge, os.urandom(10_000_000)), b"video.mp4")]
    commit(forge, tree(forge, entries))
    snapshot = await forge.source(clone_max_bytes=1_000_000).read(forge.url, None)
    assert {entry.path: entry.size for entry in snapshot.tree} == {"app.py": 1, "video.mp4": 0}


async def test_the_size_of_very_many_sources_is_estimated(forge: Forge) -> None:
    """Of three hundred files a third is fetched; the others count with the mean of their ending."""
    entries = [(BLOB, blob(forge, b"x" * (100 + number % 7)), b"f%03d.py" % number) for number in range(300)]
    commit(forge, tree(forge, entries))
    snapshot = await forge.source().read(forge.url, None)
    assert {entry.size for entry in snapshot.tree} <= set(range(100, 107))
    assert abs(sum(entry.size for entry in snapshot.tree) - 30_900) < 300


async def test_a_server_without_filters_sends_everything(forge: Forge) -> None:
    """The first fetch then has it all, and every size is exact."""
    plumb(forge, "config", "uploadpack.allowFilter", "false")
    snapshot = await forge.source().read(forge.url, None)
    assert {entry.path: entry.size for entry in snapshot.tree} == {"app.py": 6, "requirements.txt": 6, "docs/a.md": 5}
    assert set(snapshot.contents) == {"requirements.txt"}


@asynccontextmanager
async def listening(handler: web.Handler) -> AsyncIterator[str]:  # type: ignore[name-defined]
    """The URL of a server of its own before the repository."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_server_of_the_old_protocol_that_gives_no_single_blobs(forge: Forge) -> None:
    """It filters, and then refuses what no branch points at: all is fetched again."""
    plumb(forge, "config", "uploadpack.allowAnySHA1InWant", "false")

    async def old(request: web.Request) -> web.StreamResponse:
        headers = request.headers.copy()
        headers.pop("Git-Protocol", None)
        inner = request.path.removeprefix("/team/shop.git")
        return await backend(request.clone(headers=headers), Repository(folder(forge)), inner, "u")

    async with listening(old) as url:
        snapshot = await forge.source(gitlab_url=url).read(f"{url}/team/shop.git", None)
    assert {entry.path: entry.size for entry in snapshot.tree} == {"app.py": 6, "requirements.txt": 6, "docs/a.md": 5}


async def test_a_redirect_is_not_followed(forge: Forge) -> None:
    """However near it leads: an allowed host could send the analyzer anywhere."""

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently(f"{forge.server.url}{request.path_qs}")

    async with listening(elsewhere) as url:
        with pytest.raises(Reject, match="redirect, which is not followed"):
            await forge.source(gitlab_url=url).read(f"{url}/team/shop.git", None)


def test_a_deploy_key_goes_to_ssh_alone(tmp_path: Path) -> None:
    """By file, never in an address; ssh asks nobody, and knows its hosts."""
    key, hosts = tmp_path / "deploy key", tmp_path / "hosts"
    settings = Settings(clone_ssh_key=str(key), clone_known_hosts=str(hosts), analyzer_allowed_hosts="forge.example")
    remote = git_policy.allowed("git@forge.example:a/b.git", settings, settings)
    with pytest.raises(Reject, match=r"CLONE_SSH_KEY names .*deploy key, and there is no such file"):
        git_policy.environment(remote, settings, settings)
    key.write_text("key")
    with pytest.raises(Reject, match="CLONE_KNOWN_HOSTS"):
        git_policy.environment(remote, settings, settings)
    hosts.write_text("")
    command = git_policy.environment(remote, settings, settings)["GIT_SSH_COMMAND"]
    assert f"-i '{key}'" in command
    for option in ("IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={hosts}"):
        assert f"-o{option}" in command
