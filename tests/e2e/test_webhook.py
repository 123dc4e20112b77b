"""GitLab's webhook from its installation to the monitor's ears, all parts real."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from greenrun import local
from shared.adapters.gitlab import GitLabClient
from shared.adapters.gitlab_hooks import install_hook
from shared.bus import Bus
from shared.news import EVERY_SUBJECT
from shared.settings import GitLabSettings, WebhookSettings
from tests.e2e.conftest import DEADLINE, HAPPY, QUICK, System, types

pytestmark = pytest.mark.e2e
SAMPLE = Path(__file__).parents[2] / "greenrun" / "samples" / "flask-notes"


async def test_a_webhook_tells_how_the_pipeline_ended(tmp_path: Path) -> None:
    """Registered as the command does it, sent by GitLab, believed by the gateway, heard by everybody on the bus."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with local.start(tmp_path / "system", overrides={**QUICK, "monitor_interval": 600.0}) as started:
        gitlab, hooks = GitLabSettings(**started.values), WebhookSettings(**started.values)
        async with (
            Bus.connect(started.settings(), "test") as bus,
            GitLabClient.connect(gitlab) as client,
            bus.listen(EVERY_SUBJECT, lambda said: heard.put_nowait(said["status"])),
        ):
            system = System(started, bus)
            project = await system.gitlab.create_project("hooked/notes", from_dir=SAMPLE)
            found = await client.project("hooked/notes")
            secret = hooks.webhook_secret.get_secret_value()
            assert await install_hook(client, found, hooks.webhook_url, secret) == "installed"
            run_id = await system.submit(str(project["http_url_to_repo"]))
            assert types(await system.end(run_id)) == HAPPY
            async with asyncio.timeout(DEADLINE):
                while await heard.get() != "success":
                    pass
