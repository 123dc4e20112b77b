"""Settings of the seeder."""

from typing import Literal

from pydantic import Field

from shared.settings import CommonSettings, RegistrySettings


class Settings(CommonSettings, RegistrySettings):
    """The private registry, and how copies are made."""

    seed_refresh: Literal["never", "missing", "newer"] = Field(
        "missing",
        description="never: nothing is copied; missing: what is not there; newer: also a tag that its source has moved",
    )
    seed_strict: bool = Field(default=False, description="an image that cannot be had ends the run")
    seed_patience: float = Field(
        900.0, ge=0, description="seconds for which a run waits for sources that give nothing now; then it goes on"
    )
    seed_concurrency: int = Field(4, ge=1, description="images that are copied at once")
    copy_timeout: float = Field(900.0, gt=0, description="seconds for the copy of one image")
    registry_timeout: float = Field(10.0, gt=0, description="seconds for one request to the registry")
