"""Settings of the retriever."""

from pydantic import Field

from shared.settings import ChromaSettings, CommonSettings, NamingSettings


class Settings(CommonSettings, ChromaSettings, NamingSettings):
    """Chroma, and how many runners-up the event names."""

    retriever_candidates: int = Field(5, ge=1, description="how many candidates template.resolved names")
    retriever_standing_days: float = Field(30.0, ge=0, description="days back that a template's failures count")
    retriever_bootstrap: bool = Field(default=True, description="bring the built-in recipes into the template store")
