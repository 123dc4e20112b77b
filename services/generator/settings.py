"""Settings of the generator."""

from typing import Literal

from pydantic import Field

from shared.settings import CommonSettings, ModelSettings, PolicySettings, RegistryNameSettings


class Settings(CommonSettings, ModelSettings, RegistryNameSettings, PolicySettings):
    """The model, the registry that images come from, and the runner that the files are for."""

    image_builder: Literal["kaniko", "buildah", "buildkit"] = Field("kaniko", description="what builds the image")
    llm_repository_budget: int = Field(
        40_000, ge=0, description="characters of a repository's files that a model is shown"
    )
    runner_privileged: bool = Field(default=False, description="the runner allows privileged containers")
