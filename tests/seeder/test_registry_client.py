"""The registry client against real registries and against every way in which one can refuse."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import bcrypt
import pytest
from aiohttp import web

from sandbox import registry_process
from shared.adapters.registry import MANIFEST_TYPES, RegistryClient, Skopeo
from shared.ci.places import Place
from shared.errors import Reject, Retry
from tests.seeder.conftest import needs_docker_registry
from tests.seeder.servers import MANIFEST, TokenRegistry, answering, hanging, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sandbox.registry import RegistryServer

NAME = "docker.io/library/python"


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[str]:
    """Debian's registry with the one user u, password p:w."""
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_bytes(b"u:" + bcrypt.hashpw(b"p:w", bcrypt.gensalt(4)))
    auth = {"htpasswd": {"realm": "lab", "path": str(htpasswd)}}
    async with registry_process.serve(tmp_path / "guarded", "127.0.0.1", 0, auth) as host_port:
        yield host_port


@needs_docker_registry
async def test_basic_registry_is_written_and_read_with_the_right_user_alone(
    guarded: str, upstream: RegistryServer
) -> None:
    """Both skopeo and the client log in; without a user or with a wrong password both say what to set."""
    source, target = f"{upstream.host_port}/{NAME}:3.12-slim", f"{guarded}/python:3.12-slim"
    await Skopeo(credentials={guarded: ("u", "p:w")}, timeout=20).copy(Place(source), target)
    async with RegistryClient(guarded, user="u", password="p:w") as registry:
        assert await registry.manifest("python", "3.12-slim") is not None
        assert await registry.tags("python") == ("3.12-slim",)
        assert await registry.manifest("python", "gone") is None
    async with RegistryClient(guarded) as registry:
        with pytest.raises(Reject, match="REGISTRY_USER"):
            await registry.manifest("python", "3.12-slim")
    async with RegistryClient(guarded, user="u", password="wrong") as registry:
        with pytest.raises(Reject, match="unauthorized: authentication required"):
            await registry.manifest("python", "3.12-slim")
    with pytest.raises(Reject, match="REGISTRY_USER"):
        await Skopeo(credentials={guarded: ("u", "wrong")}, timeout=20).copy(Place(source), target)


async def test_bearer_tokens_are_fetched_kept_and_renewed() -> None:
    """The challenge leads to a token, which serves until the registry refuses it."""
    server = TokenRegistry()
    async with serving(server.answer) as host_port, RegistryClient(host_port, user="u", password="p") as registry:
        first = await registry.manifest("closed/x", "1")
        assert first is not None
        assert first.size == 12
        assert first.digest == "sha256:" + hashlib.sha256(MANIFEST).hexdigest()
        await registry.manifest("closed/x", "2")
        assert server.tokens == 1
        server.expire()
        await registry.manifest("closed/x", "1")
        assert server.tokens == 2


async def test_an_anonymous_token_may_come_without_rights() -> None:
    """A token is no permission: the registry's second refusal is final and is not asked about for ever."""
    server = TokenRegistry()
    async with serving(server.answer) as host_port, RegistryClient(host_port) as registry:
        assert await registry.manifest("open/x", "1") is not None
        with pytest.raises(Reject, match="unauthorized: authentication required"):
            await registry.manifest("closed/x", "1")
        assert server.tokens <= 3


async def test_a_token_server_that_knows_the_password_is_wrong_is_quoted() -> None:
    """The words of the token server reach the person."""
    async with (
        serving(TokenRegistry().answer) as host_port,
        RegistryClient(host_port, user="u", password="no") as registry,
    ):
        with pytest.raises(Reject, match="wrong password"):
            await registry.manifest("closed/x", "1")


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (429, Retry, "429: toomanyrequests: slow down"),
        (500, Retry, "500: boom: slow down"),
        (503, Retry, "503"),
        (401, Reject, "refuses access"),
        (403, Reject, "refuses access: denied: slow down"),
        (400, Reject, "answered 400"),
    ],
)
async def test_refusals_are_sorted_by_what_the_bus_does(status: int, error: type[Exception], words: str) -> None:
    """What may pass is Retry with the registry's own wish for a delay, a final no is Reject with its words."""
    code = {429: "TOOMANYREQUESTS", 403: "DENIED"}.get(status, "BOOM")
    handler = answering(status, code, "slow down", Retry_After="7")
    async with serving(handler) as host_port, RegistryClient(host_port) as registry:
        with pytest.raises(error, match=words) as raised:
            await registry.manifest("x", "1")
        assert getattr(raised.value, "after", 7.0) == 7.0
        with pytest.raises(error):
            await registry.tags("x")


async def test_a_registry_that_is_down_or_hangs_is_retried() -> None:
    """Neither a refused connection nor silence is an answer."""
    async with serving(hanging) as host_port, RegistryClient(host_port, timeout=0.2) as registry:
        with pytest.raises(Retry, match="does not answer"):
            await registry.manifest("x", "1")
    async with RegistryClient(host_port) as registry:
        with pytest.raises(Retry, match="does not answer"):
            await registry.manifest("x", "1")


async def test_all_four_manifest_types_are_asked_for() -> None:
    """A registry that does not see a type in Accept answers 404 or another digest."""
    accepted: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        accepted.append(request.headers["Accept"])
        return web.Response(body=MANIFEST)

    async with serving(handler) as host_port, RegistryClient(host_port) as registry:
        await registry.manifest("x", "1")
    assert accepted == [", ".join(MANIFEST_TYPES)] * 2


async def test_tags_are_read_over_all_pages() -> None:
    """The client follows `Link`, relative and absolute, until there is none."""

    async def handler(request: web.Request) -> web.Response:
        last = request.query.get("last", "")
        following = {"": "/v2/x/tags/list?n=1&last=a", "a": f"http://{request.host}/v2/x/tags/list?last=b"}
        headers = {"Link": f'<{following[last]}>; rel="next"'} if last in following else {}
        return web.json_response({"name": "x", "tags": [{"": "a", "a": "b", "b": "c"}[last]]}, headers=headers)

    async with serving(handler) as host_port, RegistryClient(host_port) as registry:
        assert await registry.tags("x") == ("a", "b", "c")


async def test_something_that_is_no_registry_is_named() -> None:
    """A web page under the registry's address is not a manifest."""
    page = secrets.token_hex(4)

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(text=f"<html>{page}")

    async with serving(handler) as host_port, RegistryClient(host_port) as registry:
        with pytest.raises(Reject, match="does not answer as an OCI registry"):
            await registry.manifest("x", "1")


async def test_https_is_spoken_unless_told_otherwise() -> None:
    """Off loopback the client wants TLS; `insecure` switches it off."""
    async with RegistryClient("ai-nexus:5001") as safe, RegistryClient("ai-nexus:5001", insecure=True) as plain:
        assert safe._base == "https://ai-nexus:5001"
        assert plain._base == "http://ai-nexus:5001"
