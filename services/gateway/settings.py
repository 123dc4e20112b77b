"""Settings of the gateway."""

from typing import Literal

from pydantic import Field, SecretStr

from shared.settings import ChromaSettings, CommonSettings, PolicySettings, WebhookSettings


class Settings(CommonSettings, WebhookSettings, ChromaSettings, PolicySettings):
    """Where the API listens, who may use it, how much, and where the list of runs is kept."""

    gateway_host: str = Field("127.0.0.1", description="address to listen on; beyond loopback it asks for tokens")
    gateway_port: int = Field(8080, ge=0, le=65535, description="port to listen on")
    gateway_token: SecretStr = Field(SecretStr(""), description="an operator's bearer token, beside those of the log")
    gateway_auth: Literal["auto", "tokens"] = Field(
        "auto", description="tokens: always ask for one; auto: not on loopback where GATEWAY_TOKEN is not set"
    )
    gateway_data: str = Field("", description="folder of the list of runs; empty: made anew at each start")
    gateway_max_body: int = Field(65536, ge=1024, description="the largest request body in bytes")
    gateway_rate: float = Field(100.0, ge=0, description="requests a second of one token; 0: no limit")
    gateway_streams: int = Field(1000, ge=1, description="event streams that may be open at once")
    gateway_stream_patience: float = Field(
        30.0, gt=0, description="seconds after which a client that takes nothing is let go"
    )

    @property
    def authenticates(self) -> bool:
        """Whether nobody is answered without a token."""
        return bool(self.gateway_token.get_secret_value()) or self.gateway_auth == "tokens"
