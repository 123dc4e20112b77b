"""Settings of the healer."""

from pydantic import Field

from shared.settings import CommonSettings, ModelSettings, PolicySettings, RegistrySettings


class Settings(CommonSettings, RegistrySettings, ModelSettings, PolicySettings):
    """The registry and its sources, the model, and how often a run is healed."""

    max_self_heal_attempts: int = Field(10, ge=0, description="repairs within one run before a person is asked")
    registry_timeout: float = Field(10.0, gt=0, description="seconds for one request to a registry")
