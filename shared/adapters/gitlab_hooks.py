"""GitLab's project webhooks, through the client of `shared.adapters.gitlab`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from shared.adapters.gitlab_errors import TO_HOOK

if TYPE_CHECKING:
    import gitlab

    from shared.adapters.gitlab import GitLabClient
    from shared.ports import Project

# A pipeline says by itself how it stands; the events of each job would be ten times as many.
EVENTS = {"pipeline_events": True, "push_events": False, "job_events": False}


async def install_hook(
    client: GitLabClient, project: Project, url: str, secret: str, *, verify: bool = True
) -> Literal["installed", "updated"]:
    """Whether the hook of this URL is new; it has the secret and sends pipeline events alone.

    Reject where the token's role is below Maintainer, or GitLab may not send to that address.
    """
    wanted = {"url": url, "token": secret, "enable_ssl_verification": verify, **EVENTS}

    def write(api: gitlab.Gitlab) -> Literal["installed", "updated"]:
        hooks = api.projects.get(project.id, lazy=True).hooks
        known = next((hook for hook in hooks.list(iterator=True) if hook.url == url), None)
        if known is None:
            hooks.create(wanted)
            return "installed"
        hooks.update(known.id, wanted)
        return "updated"

    return await client.call(write, needs=TO_HOOK)
