"""Who may what: tokens by role, limits, and what a browser may not be made to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from services.gateway.access import token_in
from services.gateway.limits import Rate
from services.gateway.problems import Refused
from services.gateway.routes import ENDPOINTS
from shared.tokens import ROLES, Role, Token, issue, may
from shared.topology import TOKENS_BUCKET
from tests.gateway.conftest import TOKEN, URL, Api, listening

WORKFLOW = "/api/v1/pipeline/workflow"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def token(api: Api, role: Role, **changes: object) -> str:
    """The text of a token that is kept in the log's server."""
    text, made = issue(f"a {role}", role, datetime.now(UTC))
    await api.bus.keep(TOKENS_BUCKET, made.id, made.model_copy(update=changes).model_dump(mode="json"))
    return text


def bearer(text: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {text}"}


async def test_each_role_may_what_it_may_and_events_are_signed_with_its_name(api: Api) -> None:
    """A viewer looks, a submitter submits too, an operator does everything; 403 names the role that it takes."""
    asked: Sequence[tuple[str, str, Role]] = (
        ("GET", "/api/v1/runs", "viewer"),
        ("POST", WORKFLOW, "submitter"),
        ("POST", "/api/v1/dead-letters/x.1/redrive", "operator"),
    )
    for role in ROLES:
        header = bearer(await token(api, role))
        for method, path, needed in asked:
            answer = await api.client.request(method, path, json={"repo_url": URL}, headers=header)
            assert (answer.status_code == 403) is not may(role, needed), (role, path)
            assert answer.status_code != 403 or f"needs the role {needed}" in answer.json()["detail"]
    by = {recorded.by for recorded in await api.bus.all_events()}
    assert by == {"a submitter", "a operator"}


async def test_every_endpoint_but_probes_webhooks_and_the_document_wants_a_token(api: Api) -> None:
    """Whatever is added to the table is closed unless it says otherwise."""
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{job}", "1").replace("{", "").replace("}", "")
        answer = await api.client.request(endpoint.method, path, headers={"Authorization": ""})
        is_open = endpoint.role is None
        assert (answer.status_code == 401 and "Bearer" in answer.headers.get("WWW-Authenticate", "")) is not is_open


async def test_what_does_not_count_is_refused(api: Api) -> None:
    """Revoked, expired, of another secret, of no kept token, and hostile texts."""
    good = await token(api, "viewer")
    revoked = await token(api, "viewer", revoked=NOW)
    expired = await token(api, "viewer", expires=datetime.now(UTC) - timedelta(seconds=1))
    other = issue("x", "operator", NOW)[0]
    assert (await api.client.get("/api/v1/runs", headers=bearer(good))).status_code == 200
    for text in (revoked, expired, other, good[:-1], good[:17] + "0" * 64, f"{TOKEN}x", "grn_*_x", "é"):
        sent = [(b"Authorization", f"Bearer {text}".encode())]
        assert (await api.client.get("/api/v1/runs", headers=sent)).status_code == 401, text


async def test_a_token_that_is_revoked_is_soon_refused(api: Api) -> None:
    """What a gateway remembers of a token it asks for again after two seconds."""
    now = 0.0
    api.gateway.access._clock = lambda: now
    text, made = issue("ada", "viewer", NOW)
    await api.bus.keep(TOKENS_BUCKET, made.id, made.model_dump(mode="json"))
    assert (await api.client.get("/api/v1/runs", headers=bearer(text))).status_code == 200
    revoked = made.model_copy(update={"revoked": NOW})
    await api.bus.keep(TOKENS_BUCKET, made.id, revoked.model_dump(mode="json"))
    now = 2.0
    assert (await api.client.get("/api/v1/runs", headers=bearer(text))).status_code == 401


def test_nothing_that_is_kept_opens_anything() -> None:
    """The record has a hash; the text is nowhere in it."""
    text, made = issue("ada", "operator", NOW)
    assert made.opens(text, NOW)
    assert text.split("_")[2] not in made.model_dump_json()
    assert not made.opens(made.digest, NOW)
    with pytest.raises(ValueError, match="pattern"):
        Token.model_validate({**made.model_dump(), "name": "a\nb"})


async def test_on_loopback_without_a_token_no_other_site_gets_in(nats: str) -> None:
    """The API is open to who calls it by its address, and closed to pages of others and names that lead here."""
    async with listening(nats, gateway_token="", token="") as api:
        body = {"repo_url": URL}
        assert (await api.client.post(WORKFLOW, json=body)).status_code == 202
        same = str(api.client.base_url).rstrip("/")
        assert (await api.client.post(WORKFLOW, json=body, headers={"Origin": same})).status_code == 202
        for hostile in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Host": "evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            assert (await api.client.post(WORKFLOW, json=body, headers=hostile)).status_code == 403, hostile
        assert (await api.client.get("/api/v1/runs", headers=bearer("wrong"))).status_code == 401
    async with listening(nats, gateway_token="", token="", gateway_auth="tokens") as api:
        assert (await api.client.get("/api/v1/runs")).status_code == 401


@pytest.mark.parametrize(
    ("header", "method", "found"),
    [
        (None, "GET", None),
        ("Bearer t", "POST", "t"),
        ("bearer  t ", "GET", "t"),
        ("Basic eDp0", "GET", "t"),
        ("Basic eDp0", "POST", ""),
        ("Basic !", "GET", ""),
        ("Digest t", "GET", ""),
    ],
)
def test_a_browser_may_look_with_the_token_as_its_password(header: str | None, method: str, found: str | None) -> None:
    """What it repeats by itself changes nothing: another site's form could have sent it."""
    assert token_in(header, method) == found


def test_a_caller_has_its_own_rate() -> None:
    """Two seconds' worth at once, then one at a time; the answer says when."""
    now = 0.0
    rate = Rate(2.0, clock=lambda: now)
    for _ in range(4):
        rate.take("a")
    with pytest.raises(Refused) as refused:
        rate.take("a")
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
    rate.take("b")
    now = 0.5
    rate.take("a")


async def test_too_many_requests_are_told_to_wait(nats: str) -> None:
    """429 with Retry-After; probes are always answered."""
    async with listening(nats, gateway_rate=0.5) as api:
        codes = [(await api.client.get("/api/v1/openapi.json")).status_code, *[]]
        answers = [await api.client.get("/api/v1/runs/X/files") for _ in range(3)]
        codes += [answer.status_code for answer in answers]
        assert codes == [200, 404, 429, 429]
        assert answers[-1].headers["Retry-After"] == "2"
        assert (await api.client.get("/healthz")).status_code == 200


async def test_a_body_that_is_too_large_is_not_read(api: Api) -> None:
    """413 names the setting."""
    answer = await api.client.post(WORKFLOW, content=b"x" * 70_000)
    assert (answer.status_code, "GATEWAY_MAX_BODY" in answer.json()["detail"]) == (413, True)


async def test_metrics_tell_requests_runs_and_lag(api: Api) -> None:
    """In Prometheus' text, with routes and not with ids."""
    await api.submitted()
    await api.listed()
    await api.client.get("/api/v1/runs/X")
    text = (await api.client.get("/metrics")).text
    assert 'greenrun_gateway_runs{status="running"} 1.0' in text
    assert "greenrun_gateway_projection_lag 0.0" in text
    assert 'greenrun_gateway_requests_total{method="GET",path="/api/v1/runs/{run_id}",status="404"} 1.0' in text
