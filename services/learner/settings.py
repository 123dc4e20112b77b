"""Settings of the learner."""

from shared.settings import ChromaSettings, CommonSettings


class Settings(CommonSettings, ChromaSettings):
    """Chroma alone."""
