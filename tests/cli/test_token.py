"""`greenrun token` and a gateway that heeds it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from greenrun import embedded
from tests.cli.test_cli import Cli
from tests.gateway.conftest import listening


async def test_a_token_opens_the_gateway_until_it_is_revoked(tmp_path: Path) -> None:
    """Printed once; the list has no secret; what is revoked stays in the list and opens nothing."""
    async with embedded.nats_server(tmp_path / "nats") as url, listening(url, token="") as api:
        cli, env = Cli(tmp_path), {"NATS_URL": url}
        made = await cli("token", "create", "ada", "--role", "viewer", "--days", "1", env=env)
        assert (made.code, made.err) == (0, "")
        header = {"Authorization": f"Bearer {made.out.strip()}"}
        assert (await api.client.get("/api/v1/runs", headers=header)).status_code == 200
        assert (await _submitted(api.client, header)).status_code == 403
        listed = await cli("token", "list", "--json", env=env)
        [row] = json.loads(listed.out)
        assert (row["name"], row["role"], row["revoked"], "digest" in row) == ("ada", "viewer", None, False)
        assert made.out.strip().split("_")[2] not in listed.out
        assert (await cli("token", "revoke", row["id"], env=env)).code == 0
        api.gateway.access._known.clear()
        assert (await api.client.get("/api/v1/runs", headers=header)).status_code == 401
        wrong = await cli("token", "revoke", "nobody", env=env)
        assert (wrong.code, "greenrun token list" in " ".join(wrong.err.split())) == (2, True)


async def _submitted(client: httpx.AsyncClient, header: dict[str, str]) -> httpx.Response:
    return await client.post("/api/v1/pipeline/workflow", json={"repo_url": "https://x/y"}, headers=header)
