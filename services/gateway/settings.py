"""Settings of the gateway."""

from pydantic import Field, SecretStr

from shared.settings import CommonSettings, WebhookSettings


class Settings(CommonSettings, WebhookSettings):
    """Where the API listens and who may use it."""

    gateway_host: str = Field("127.0.0.1", description="address to listen on; beyond loopback a token is required")
    gateway_port: int = Field(8080, ge=0, le=65535, description="port to listen on")
    gateway_token: SecretStr = Field(SecretStr(""), description="bearer token of the API; empty: open, loopback only")
    gateway_max_body: int = Field(65536, ge=1024, description="the largest request body in bytes")
