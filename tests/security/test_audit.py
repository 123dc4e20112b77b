"""The audit of the locked dependencies, against a database that knows of something, of nothing, or is not there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from greenrun.embedded import free_port

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit.sh"
FOUND = {"id": "GHSA-made-up", "modified": "2026-01-01T00:00:00Z"}
EVENTS = [{"introduced": "0"}, {"fixed": "99"}]
AFFECTED = {"package": {"name": "jinja2", "ecosystem": "PyPI"}, "ranges": [{"type": "ECOSYSTEM", "events": EVENTS}]}


@asynccontextmanager
async def database(vulnerable: str) -> AsyncIterator[str]:
    """OSV's API, in which one package has a hole in every version; its address."""
    asked: list[str] = []

    async def batch(request: web.Request) -> web.Response:
        names = [query["package"]["name"] for query in (await request.json())["queries"]]
        asked.extend(names)
        return web.json_response({"results": [{"vulns": [FOUND]} if name == vulnerable else {} for name in names]})

    async def one(_request: web.Request) -> web.Response:
        return web.json_response({**FOUND, "summary": "a hole", "affected": [AFFECTED]})

    app = web.Application()
    app.router.add_post("/v1/querybatch", batch)
    app.router.add_get("/v1/vulns/{id}", one)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
        yield f"http://127.0.0.1:{port}/"
    finally:
        await runner.cleanup()
    # The tools' and every extra's packages are asked about, not only what this environment has.
    assert {"nats-py", "chromadb-client", "chromadb", "ruff"} <= set(asked)


async def audit(url: str, *argv: str) -> tuple[int | None, str]:
    """The exit code and what is said."""
    environment = os.environ | {"OSV_URL": url, "UV_HTTP_RETRIES": "0"}
    process = await asyncio.create_subprocess_exec(
        SCRIPT, *argv, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode()


@pytest.mark.parametrize("argv", [(), ("--if-reachable",)])
async def test_a_known_hole_fails_wherever_it_is_asked(argv: tuple[str, ...]) -> None:
    """The package and the advisory are named."""
    async with database("jinja2") as url:
        code, said = await audit(url, *argv)
    assert (code, "jinja2" in said, "GHSA-made-up" in said) == (1, True, True)


async def test_nothing_known_passes() -> None:
    """Only after every locked package was asked about."""
    async with database("none") as url:
        assert (await audit(url))[0] == 0


async def test_a_database_that_cannot_be_asked_is_never_a_clean_audit() -> None:
    """It is said aloud; only CI, told so, goes on."""
    url = f"http://127.0.0.1:{free_port()}/"
    for argv, expected in (((), 3), (("--if-reachable",), 0)):
        code, said = await audit(url, *argv)
        assert (code, "NOT AUDITED" in said, "no known" in said) == (expected, True, False)
