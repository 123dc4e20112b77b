"""`greenrun webhook`: GitLab tells the gateway how pipelines stand, so that the monitor need not ask."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from greenrun.exits import USAGE, fail, finish, refused
from greenrun.place import values
from shared.settings import GitLabSettings, WebhookSettings

app = typer.Typer(no_args_is_help=True, help="Webhooks of GitLab: it tells how pipelines stand, nobody has to ask.")
console = Console()


class Settings(GitLabSettings, WebhookSettings):
    """GitLab, and where it reaches the gateway."""


@app.command()
def install(
    project: Annotated[str, typer.Argument(help="GitLab project, path or id")],
    *,
    url: Annotated[str | None, typer.Option(help="the gateway as GitLab reaches it; default: GATEWAY_URL")] = None,
    verify: Annotated[bool, typer.Option(help="have GitLab check the gateway's certificate")] = True,
) -> None:
    """Register the webhook of pipeline events in a project; again, it is brought up to date. Needs role Maintainer."""
    given = {"gateway_url": url} if url else {}
    try:
        settings = Settings(**{**values(), **given})
    except ValidationError as error:
        raise refused(error) from error
    if not settings.webhook_url:
        raise fail(USAGE, "GitLab must know where the gateway is; set GATEWAY_URL (or PORTAL_URL), or give --url")
    if not settings.webhook_secret.get_secret_value():
        raise fail(USAGE, "set WEBHOOK_SECRET, here and for the gateway; without it nobody could trust a webhook")
    done = finish(_install(settings, project, verify=verify))
    console.print(f"{done} in {project}: pipeline events go to {settings.webhook_url}", highlight=False, soft_wrap=True)


async def _install(settings: Settings, project: str, *, verify: bool) -> str:
    from shared.adapters.gitlab import GitLabClient  # noqa: PLC0415 - the client takes time to load
    from shared.adapters.gitlab_hooks import install_hook  # noqa: PLC0415

    secret = settings.webhook_secret.get_secret_value()
    async with GitLabClient.connect(settings) as client:
        return await install_hook(client, await client.project(project), settings.webhook_url, secret, verify=verify)
