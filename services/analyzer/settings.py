"""Settings of the analyzer."""

from shared.settings import CommonSettings, GitLabSettings, SourceSettings


class Settings(CommonSettings, GitLabSettings, SourceSettings):
    """GitLab, whose token reads private repositories, and the limits of a clone."""
