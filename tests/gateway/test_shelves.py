"""Templates on a real Chroma, and what a repository would be analyzed as."""

from __future__ import annotations

from pathlib import Path

from greenrun import embedded
from services.analyzer.service import connect as analyzer
from services.analyzer.settings import Settings as AnalyzerSettings
from shared.recipes import render
from tests.facts import FLASK
from tests.gateway.conftest import Api, listening


async def test_a_golden_template_is_added_shown_and_removed(nats: str, tmp_path: Path) -> None:
    """Checked first: what the policy refuses is not stored, and the answer names the line."""
    files = render(FLASK, registry="nexus.example:5000")
    assert files is not None
    body = {**files.model_dump(), "analysis": FLASK.model_dump(mode="json")}
    async with (
        embedded.chroma(tmp_path / "chroma") as port,
        listening(nats, chromadb_host="127.0.0.1", chromadb_port=port) as api,
    ):
        loose = await api.client.post(
            "/api/v1/templates", json={**body, "pipeline": files.pipeline + "  allow_failure: true\n"}
        )
        assert (loose.status_code, "allow_failure" in loose.json()["detail"]) == (422, True)
        added = [await api.client.post("/api/v1/templates", json=body) for _ in range(2)]
        assert [(answer.status_code, answer.json()["new"]) for answer in added] == [(201, True), (200, False)]
        path = f"/api/v1/templates/{added[0].json()['id']}"
        shown = (await api.client.get(path)).json()
        assert (shown["collection"], shown["language"]) == ("pipeline_templates", "python")
        assert "nexus.example" not in shown["pipeline"]
        listed = (await api.client.get("/api/v1/templates", params={"language": "python"})).json()["templates"]
        assert [row["id"] for row in listed] == [shown["id"]]
        assert (await api.client.get("/api/v1/templates?language=go")).json()["templates"] == []
        codes = [(await api.client.delete(path)).status_code for _ in range(2)]
        assert codes == [204, 404]


async def test_without_chroma_the_rest_of_the_api_works(nats: str) -> None:
    """503 for templates alone, with when to ask again."""
    port = embedded.free_port()
    async with listening(nats, chromadb_host="127.0.0.1", chromadb_port=port, chromadb_timeout=1.0) as api:
        answer = await api.client.get("/api/v1/templates")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert (await api.client.get("/api/v1/runs")).status_code == 200


async def test_a_dry_run_has_the_limits_of_a_real_one(api: Api) -> None:
    """An address that may not be cloned is refused in the analyzer's words; without an analyzer it is 503."""
    asked = {"repo_url": "http://169.254.169.254/latest/meta-data"}
    assert (await api.client.get("/api/v1/analysis", params=asked)).status_code == 503
    settings = AnalyzerSettings(nats_url=api.gateway.settings.nats_url)
    async with analyzer(settings, api.bus):
        refused = await api.client.get("/api/v1/analysis", params=asked)
        assert (refused.status_code, "169.254.169.254" in refused.json()["detail"]) == (422, True)
        secret = await api.client.get("/api/v1/analysis", params={"repo_url": "https://u:glpat-x@gitlab.com/a/b.git"})
        assert (secret.status_code, "credentials" in secret.json()["detail"]) == (422, True)
    assert await api.bus.all_events() == []
