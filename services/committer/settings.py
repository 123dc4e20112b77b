"""Settings of the committer."""

from pydantic import Field

from shared.settings import CommonSettings, GitLabSettings


class Settings(CommonSettings, GitLabSettings):
    """GitLab, and how branches are named."""

    branch_prefix: str = Field("feature/ai-pipeline-", description="what the branch's name begins with")
