"""Settings of the monitor."""

from pydantic import Field

from shared.settings import CommonSettings, GitLabSettings, PortalSettings


class Settings(CommonSettings, GitLabSettings, PortalSettings):
    """How often and for how long a pipeline is looked at."""

    concurrency: int = Field(5000, ge=1, le=10_000, description="pipelines that one monitor follows at once")
    monitor_interval: float = Field(30.0, gt=0, description="seconds between two looks at a pipeline")
    monitor_timeout: float = Field(900.0, gt=0, description="seconds after the commit at which the watch ends")
    monitor_requests: float = Field(30.0, gt=0, description="requests a second that one monitor makes to GitLab")
    no_pipeline_after: float = Field(60.0, gt=0, description="seconds without a pipeline after which there is none")
    stuck_after: float = Field(300.0, gt=0, description="seconds without a runner after which a job has none")
