"""Reading a remote repository: the real git against a real smart-HTTP server, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenrun import embedded
from services.analyzer.service import Deps, analyze
from shared.errors import Reject, Retry
from shared.events import RepoAnalyzed, RepoSubmitted, RunFailed
from shared.ports import Snapshot
from tests.analyzer.conftest import Forge, clone, git, push
from tests.fakes.blobs import FakeBlobs


async def test_names_sizes_and_manifests_are_read(forge: Forge) -> None:
    """All names, the sizes of sources and manifests, the content of manifests; what is neither is not fetched."""
    snapshot = await forge.source().read(forge.url, None)
    assert {entry.path: entry.size for entry in snapshot.tree} == {"app.py": 6, "requirements.txt": 6, "docs/a.md": 0}
    assert snapshot.contents == {"requirements.txt": b"flask\n"}
    assert len(snapshot.commit_sha) == 40


async def test_a_branch_and_an_address_without_git_are_understood(forge: Forge, tmp_path: Path) -> None:
    """A ref is read as asked; GitLab's address may be given without `.git`."""
    await push(forge, tmp_path, {"b.py": "y"}, branch="feature/x")
    snapshot = await forge.source().read(forge.url.removesuffix(".git"), "feature/x")
    assert "b.py" in {entry.path for entry in snapshot.tree}


async def test_a_tag_and_a_commit_can_be_asked_for(forge: Forge, tmp_path: Path) -> None:
    """What the branch has since then is not in the answer."""
    first = await forge.source().read(forge.url, None)
    work = await clone(forge, tmp_path)
    (work / "later.py").write_text("x")
    for argv in (["tag", "v1"], ["add", "-A"], ["commit", "-qm", "later"], ["push", "-q", "origin", "HEAD", "v1"]):
        await git(work, *argv)
    assert "later.py" in {entry.path for entry in (await forge.source().read(forge.url, None)).tree}
    for ref in ("v1", first.commit_sha):
        assert await forge.source().read(forge.url, ref) == first


async def test_a_subfolder_is_analysed_alone(forge: Forge, tmp_path: Path) -> None:
    """As the submission asks; one that is not there ends the run."""
    work = await clone(forge, tmp_path)
    (work / "web").mkdir()
    (work / "web" / "package.json").write_text('{"dependencies": {"koa": "2"}}')
    for argv in (["add", "-A"], ["commit", "-qm", "web"], ["push", "-q"]):
        await git(work, *argv)
    deps = Deps(forge.source(), FakeBlobs())
    found = await analyze(RepoSubmitted(run_id="R", repo_url=forge.url, subfolder="/web/"), deps)
    assert isinstance(found, RepoAnalyzed)
    assert (found.analysis.framework, found.analysis.root) == ("koa", "web")
    gone = await analyze(RepoSubmitted(run_id="R", repo_url=forge.url, subfolder="gone"), deps)
    assert isinstance(gone, RunFailed)
    assert "has no folder gone" in gone.reason
    with pytest.raises(ValueError, match="a path within the repository"):
        RepoSubmitted(run_id="R", repo_url=forge.url, subfolder="../etc")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc", "only http, https and ssh"),
        ("/etc", "only http, https and ssh"),
        ("ext::sh -c touch% /tmp/pwned", "only http, https and ssh"),
        ("--upload-pack=touch /tmp/pwned", "only http, https and ssh"),
        ("https://evil.example/a/b", "not among the hosts"),
        ("http://127.0.0.1:1/a/b", "not among the hosts"),
        ("http://169.254.169.254/latest", "not among the hosts"),
        ("git@evil.example:a/b.git", "not among the hosts"),
    ],
)
async def test_a_forbidden_address_is_refused(forge: Forge, url: str, words: str) -> None:
    """By scheme and by host, before anything is asked of the network."""
    with pytest.raises(Reject, match=words):
        await forge.source().read(url, None)


async def test_a_name_that_leads_into_a_private_network_is_refused(forge: Forge) -> None:
    """An allowed host that resolves to loopback, unless the setting says that it is meant."""
    port = forge.server.url.rpartition(":")[2]
    url = f"http://localhost:{port}/team/shop.git"
    source = forge.source(analyzer_allowed_hosts="localhost")
    with pytest.raises(Reject, match="private address"):
        await source.read(url, None)
    meant = forge.source(analyzer_allowed_hosts="localhost", allow_private_addresses=True)
    with pytest.raises(Reject, match="refuses access"):
        await meant.read(url, None)  # the token goes to GitLab's own address alone


async def test_what_the_other_side_refuses_is_said(forge: Forge) -> None:
    """Missing, empty, no access, no such ref: each its own sentence."""
    await forge.server.create_project("team/empty")
    base = forge.server.url
    for url, ref, source, words in (
        (f"{base}/team/missing.git", None, forge.source(), "was not found"),
        (f"{base}/team/empty.git", None, forge.source(), "is empty"),
        (forge.url, "no-such-branch", forge.source(), "has no branch, tag or commit no-such-branch"),
        (forge.url, "--upload-pack=x", forge.source(), "is no name of a branch"),
        (forge.url, None, forge.source(gitlab_token="wrong"), "refuses access"),
    ):
        with pytest.raises(Reject, match=words):
            await source.read(url, ref)


async def test_a_host_that_is_down_is_a_retry(forge: Forge) -> None:
    """The run waits for it."""
    port = embedded.free_port()
    down = forge.source(gitlab_url=f"http://127.0.0.1:{port}")
    with pytest.raises(Retry, match="does not give the repository now"):
        await down.read(f"http://127.0.0.1:{port}/a/b.git", None)


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        ({"clone_max_files": 2}, "CLONE_MAX_FILES=2"),
        ({"clone_max_bytes": 10}, "CLONE_MAX_BYTES=10"),
        ({"clone_timeout": 0.001}, "CLONE_TIMEOUT=0.001"),
    ],
)
async def test_a_limit_is_named(forge: Forge, limit: dict[str, Any], name: str) -> None:
    """Files, bytes and time: the sentence says which setting."""
    with pytest.raises(Reject, match=name):
        await forge.source(**limit).read(forge.url, None)


async def test_a_hostile_tree_leads_nowhere(forge: Forge, tmp_path: Path) -> None:
    """Symlinks and submodules are not followed; names with newlines are names."""
    work = await clone(forge, tmp_path)
    (work / "requirements.txt").unlink()
    (work / "requirements.txt").symlink_to("/etc/passwd")
    (work / "a\nb.py").write_text("x")
    (work / ".gitattributes").write_text("* filter=evil\n")
    (work / "package.json").write_bytes(b"\xff\xfe{")
    index = ["update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub"]
    for argv in (["add", "-A"], index, ["commit", "-qm", "hostile"], ["push", "-q"]):
        await git(work, *argv)
    snapshot = await forge.source().read(forge.url, None)
    paths = {entry.path for entry in snapshot.tree}
    assert "a\nb.py" in paths
    assert not {"requirements.txt", "sub"} & paths
    assert set(snapshot.contents) == {"package.json"}


async def test_the_handler_ends_the_run_where_the_repository_is_to_blame(forge: Forge) -> None:
    """A refusal becomes `run.failed` with the sentence; a good repository goes on."""
    deps = Deps(forge.source(), FakeBlobs())
    found = await analyze(RepoSubmitted(run_id="R", repo_url=forge.url), deps)
    assert isinstance(found, RepoAnalyzed)
    assert (found.analysis.framework, found.submission.repo_url) == ("flask", forge.url)
    missing = await analyze(RepoSubmitted(run_id="R", repo_url=f"{forge.server.url}/no/thing.git"), deps)
    assert isinstance(missing, RunFailed)
    assert "was not found" in missing.reason


async def test_a_repository_of_words_alone_ends_the_run() -> None:
    """There is nothing that could be built."""

    class Words:
        async def read(self, _url: str, _ref: str | None) -> Snapshot:
            return Snapshot("0" * 40, (), {})

    failed = await analyze(RepoSubmitted(run_id="R", repo_url="https://x/y"), Deps(Words(), FakeBlobs()))
    assert isinstance(failed, RunFailed)
    assert "no source code" in failed.reason
