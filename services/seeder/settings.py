"""Settings of the seeder."""

from pydantic import Field

from shared.settings import CommonSettings, RegistrySettings


class Settings(CommonSettings, RegistrySettings):
    """The private registry, and how copies are made."""

    seed_concurrency: int = Field(4, ge=1, description="images that are copied at once")
    seed_mirror_insecure: bool = Field(default=False, description="speak http to the mirror (loopback always does)")
    copy_timeout: float = Field(900.0, gt=0, description="seconds for the copy of one image")
    registry_timeout: float = Field(10.0, gt=0, description="seconds for one request to the registry")
