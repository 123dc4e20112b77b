"""Settings of the generator."""

from typing import Literal

from pydantic import Field

from shared.settings import CommonSettings, ModelSettings, RegistrySettings


class Settings(CommonSettings, ModelSettings, RegistrySettings):
    """The model, the registry that images come from, and what builds the image."""

    image_builder: Literal["kaniko", "buildah", "buildkit"] = Field("kaniko", description="what builds the image")
