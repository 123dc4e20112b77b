"""The registries that images come from: who the user is there, and which tags they have."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from sandbox.registry import RegistryServer, serve_upstream
from services.seeder.settings import Settings
from shared.adapters.registry_auth import auth_file, credentials_of
from shared.adapters.sources import SourceClients
from shared.errors import Reject, Retry
from tests.seeder.servers import answering, serving

PYTHON = "docker.io/library/python:3.99"


def auth(pair: str) -> dict[str, str]:
    """An entry of a login file."""
    return {"auth": base64.b64encode(pair.encode()).decode()}


def test_users_come_from_the_login_file_and_the_private_registry_has_its_own(tmp_path: Path) -> None:
    """Docker Hub is found under the name that docker writes; entries of helpers are left out."""
    path = tmp_path / "auth.json"
    hub = {"https://index.docker.io/v1/": auth("me:a:b"), "ghcr.io": {}, "quay.io": auth("you:c")}
    path.write_text(json.dumps({"auths": hub, "credsStore": "desktop"}))
    settings = Settings(
        nexus_registry="nexus:5001/group", registry_user="u", registry_password="p", seed_auth_file=str(path)
    )
    found = credentials_of(settings)
    assert found == {"docker.io": ("me", "a:b"), "quay.io": ("you", "c"), "nexus:5001": ("u", "p")}
    with auth_file(found) as written:
        path.write_text(Path(written).read_text())
    again = Settings(nexus_registry="other:1", seed_auth_file=str(path))
    assert credentials_of(again) == found


@pytest.mark.parametrize("text", ["", "[]", '{"auths": {"a": {"auth": "secret-word"}}}', '{"auths": {"a": 1}}'])
def test_a_login_file_that_is_none_is_named_without_its_content(tmp_path: Path, text: str) -> None:
    """A person is told which file; nothing of it is said, because it may be a password."""
    path = tmp_path / "auth.json"
    path.write_text(text)
    with pytest.raises(Reject, match=r"SEED_AUTH_FILE .*auth\.json cannot be read") as raised:
        credentials_of(Settings(seed_auth_file=str(path)))
    assert "secret-word" not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_tags_are_those_of_the_first_place_that_has_any(upstream: RegistryServer, tmp_path: Path) -> None:
    """A mirror without the image is passed over, one that does not answer is only an error where no other has it."""
    async with (
        serve_upstream(tmp_path / "empty", []) as empty,
        serving(answering(503, "UNAVAILABLE", "maintenance")) as away,
    ):
        for mirrors in (f"{empty.host_port}, {upstream.host_port}", f"{away}, {upstream.host_port}"):
            async with SourceClients(Settings(seed_mirrors=mirrors, air_gapped=True)) as sources:
                assert await sources.tags(PYTHON) == ("3.12-slim",)
        async with SourceClients(Settings(seed_mirrors=f"{away}, {empty.host_port}", air_gapped=True)) as sources:
            with pytest.raises(Retry, match="maintenance"):
                await sources.tags(PYTHON)
        async with SourceClients(Settings(seed_mirror=empty.host_port)) as sources:
            assert await sources.tags(PYTHON) == ()
    async with SourceClients(Settings(air_gapped=True)) as sources:
        with pytest.raises(Reject, match="AIR_GAPPED"):
            await sources.tags(PYTHON)


@pytest.mark.parametrize(
    "values",
    [{"seed_mirror": "mirror"}, {"seed_mirrors": "a b"}, {"image_names": "docker.io"}, {"nexus_registry": "x"}],
)
def test_a_slip_in_a_setting_is_said_at_the_start(values: dict[str, str]) -> None:
    """No service starts with a mirror or a rule that it could not read when it is needed."""
    with pytest.raises(ValidationError, match=r"is no (mirror|rule|registry)"):
        Settings.model_validate(values)
