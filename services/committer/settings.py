"""Settings of the committer."""

from pydantic import Field

from shared.settings import CommonSettings, GitLabSettings, PortalSettings, RegistryNameSettings, SourceSettings


class Settings(CommonSettings, GitLabSettings, RegistryNameSettings, SourceSettings, PortalSettings):
    """GitLab, how branches are named, what may be imported, and what commits and merge requests link to."""

    branch_prefix: str = Field("feature/ai-pipeline-", description="what the branch's name begins with")
