"""Settings that several services share, from the environment, with the seed's names and defaults."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, FilePath, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from shared.ci.places import Place, Scheme, mirrors_of, places_of
from shared.ci.private_names import NameRule, registry_of, rules_of
from shared.ci.rules import switched_off
from shared.errors import Reject

SECRETS_DIR = "/run/secrets"


class SecretFiles(SecretsSettingsSource):
    """Settings from the files of one folder, each named as the setting in lower case; an empty file sets nothing."""

    def __call__(self) -> dict[str, Any]:
        """The contents without the space around them; Reject where a file is there and cannot be read."""
        try:
            found = super().__call__()
        except (OSError, UnicodeDecodeError, SettingsError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            where = (isinstance(error, OSError) and error.filename) or self.secrets_dir
            raise Reject(f"the secret {where} cannot be read: {why}; SECRETS_DIR names the folder") from error
        return {name: text for name, text in found.items() if text}


class Environment(BaseSettings):
    """Settings from the environment, else from the files in SECRETS_DIR; what another service reads is ignored."""

    # What was set may be a password in the wrong place: an error never repeats it.
    model_config = SettingsConfigDict(env_file=None, extra="ignore", frozen=True, hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature; there is no such file
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - its folder is known only now
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the program says, then the environment, then the files where there are any."""
        folder = Path(os.environ.get("SECRETS_DIR") or SECRETS_DIR)
        files = (SecretFiles(settings_cls, secrets_dir=folder),) if folder.is_dir() else ()
        return (init_settings, env_settings, *files)


def wrong(error: ValidationError) -> str:
    """What is wrong with settings, each by its variable's name; never the value, which may be a secret."""
    said = (": ".join([*(str(part).upper() for part in e["loc"]), plain(e["msg"])]) for e in error.errors())
    return f"wrong settings: {'; '.join(said)}"


def plain(message: str) -> str:
    """Pydantic's message about a value, without the words that it puts before those of a validator."""
    return message.removeprefix("Value error, ")


class CommonSettings(Environment):
    """What every service reads; a service's own `Settings` adds its fields."""

    nats_url: str = Field("nats://127.0.0.1:4222", description="NATS server, or several with commas between")
    nats_user: str | None = Field(None, description="NATS user; default: the service's name, operator for commands")
    nats_password: SecretStr | None = Field(None, description="password of that user")
    nats_nkey_seed: SecretStr | None = Field(None, description="the user's nkey (its seed), instead of a password")
    nats_tls_ca: FilePath | None = Field(
        None, description="file with the certificates that NATS' own must come from; with it TLS is demanded"
    )
    nats_tls_cert: FilePath | None = Field(
        None, description="file with the certificate to show where NATS asks for one"
    )
    nats_tls_key: FilePath | None = Field(None, description="file with the private key of that certificate")
    nats_replicas: int = Field(
        1, ge=1, le=5, description="servers of a cluster that keep each stream: 1 alone, 3 in a cluster of three"
    )
    nats_max_age_days: float = Field(90.0, gt=0, description="days that events, dead letters and blobs are kept")
    nats_max_bytes: int = Field(0, ge=0, description="bytes that the log may take; full, it takes nothing new. 0: any")
    nats_blobs_max_bytes: int = Field(0, ge=0, description="bytes that traces and contents may take; 0: any")
    concurrency: int = Field(16, ge=1, description="deliveries that one service has in hand at once")
    max_deliveries: int = Field(30, ge=1, description="deliveries of one event before it becomes a dead letter")
    retry_base: float = Field(1.0, gt=0, description="seconds before the first redelivery; doubles, with full jitter")
    retry_cap: float = Field(600.0, gt=0, description="the longest delay before a redelivery in seconds")
    ack_wait: float = Field(30.0, gt=0, description="seconds without a sign of life after which a delivery comes again")
    health_file: Path | None = Field(
        None, description="file in which the service says how it is, for 'python -m shared.health'; the images set it"
    )
    health_grace: float = Field(
        30.0, gt=0, description="seconds without NATS, or without a sign of life, after which a service is not well"
    )
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: str = Field("json", description="json, or console for people")

    @property
    def nats_address(self) -> str:
        """NATS_URL as it may be shown: without the users and passwords that may stand in it."""
        return ",".join(f"{scheme}{rest.rpartition('@')[2]}" for scheme, rest in map(_scheme, self.nats_url.split(",")))


def _scheme(url: str) -> tuple[str, str]:
    before, separator, rest = url.rpartition("://")
    return f"{before}{separator}", rest


class GitLabSettings(Environment):
    """How to reach GitLab."""

    gitlab_url: str = Field("http://gitlab-server", description="base URL of GitLab")
    gitlab_token: SecretStr = Field(SecretStr(""), description="access token, scope api, role Developer")
    gitlab_timeout: float = Field(30.0, gt=0, description="seconds for one request to GitLab")

    @property
    def gitlab_host(self) -> str:
        """Host and port of GitLab, as in a repository's URL."""
        return urlsplit(self.gitlab_url).netloc


class PortalSettings(Environment):
    """Where the gateway is, as those see it who are not beside it."""

    portal_url: str = Field("", description="base URL of the gateway as people reach it; commits link to the run there")

    def run_name(self, run_id: str) -> str:
        """The page of a run; its id where PORTAL_URL is not set."""
        return f"{self.portal_url.rstrip('/')}/runs/{run_id}" if self.portal_url else run_id


class WebhookSettings(PortalSettings):
    """How GitLab reaches the gateway."""

    gateway_url: str = Field("", description="base URL of the gateway as GitLab reaches it; empty: PORTAL_URL")
    webhook_secret: SecretStr = Field(SecretStr(""), description="what GitLab's webhooks carry in X-Gitlab-Token")

    @property
    def webhook_url(self) -> str:
        """Where GitLab sends its webhooks; empty where neither URL is set."""
        base = self.gateway_url or self.portal_url
        return f"{base.rstrip('/')}/api/v1/webhooks/gitlab" if base else ""


class NamingSettings(Environment):
    """What images are called in the private registry."""

    image_names: str = Field(
        "", description="rules SOURCE/=PRIVATE/ with commas between, before those of shared/ci/private_names.py"
    )

    @field_validator("image_names")
    @classmethod
    def _readable_names(cls, text: str) -> str:
        rules_of(text)
        return text

    @property
    def names(self) -> tuple[NameRule, ...]:
        """The rules, the installation's own first."""
        return rules_of(self.image_names)


class RegistryNameSettings(NamingSettings):
    """What the private registry is called and how it is spoken to; who only names its images needs no password."""

    nexus_registry: str = Field("ai-nexus:5001", description="host:port of the private registry, as images name it")
    registry_insecure: bool = Field(
        default=False, description="speak http to the private registry (loopback always does)"
    )
    air_gapped: bool = Field(default=False, description="the registry and mirrors alone are reached, not the internet")

    @field_validator("nexus_registry")
    @classmethod
    def _named_in_images(cls, text: str) -> str:
        return registry_of(text)


class RegistrySettings(RegistryNameSettings):
    """The private registry and where images come from."""

    registry_user: str | None = Field(None, description="user of the private registry")
    registry_password: SecretStr | None = Field(None, description="password of that user")
    seed_mirror: str | None = Field(
        None, description="host:port of a mirror that serves every source under its full name; then no source is asked"
    )
    seed_mirror_insecure: bool = Field(default=False, description="speak http to the mirrors (loopback always does)")
    seed_mirrors: str = Field(
        "",
        description="mirrors that are asked in this order before the source, with commas between: HOST:PORT for all "
        "sources under their full names, REGISTRY=HOST:PORT for a cache of one; http:// or https:// before HOST",
    )
    seed_auth_file: str | None = Field(
        None, description="file with the sources' users, as 'docker login' and 'skopeo login' write it"
    )

    @field_validator("seed_mirror", "seed_mirrors")
    @classmethod
    def _readable_mirrors(cls, text: str | None) -> str | None:
        mirrors_of(text or "")
        return text

    def places(self, source: str) -> tuple[Place, ...]:
        """Where the image with this full source name can be read, in order; empty where nothing may be asked."""
        scheme: Scheme = "http" if self.seed_mirror_insecure else ""
        mirrors = (*mirrors_of(self.seed_mirror or ""), *mirrors_of(self.seed_mirrors))
        spoken = tuple(replace(mirror, scheme=mirror.scheme or scheme) for mirror in mirrors)
        return places_of(source, spoken, own=not (self.air_gapped or self.seed_mirror))


class PolicySettings(Environment):
    """Which rules of the checker's policy hold."""

    policy_disabled: str = Field(
        "", description="rules of the policy that do not count, with commas between (greenrun lint --rules lists them)"
    )

    @field_validator("policy_disabled")
    @classmethod
    def _known(cls, names: str) -> str:
        """Refuse what is no rule of the policy: a switch that does nothing would be trusted."""
        switched_off(names)
        return names

    @property
    def disabled_rules(self) -> frozenset[str]:
        """The ids of the rules that do not count."""
        return switched_off(self.policy_disabled)


class OllamaSettings(Environment):
    """How to reach Ollama."""

    ollama_url: str = Field("http://ollama:11434", description="base URL of Ollama")


class ChromaSettings(OllamaSettings):
    """How to reach ChromaDB, and what makes its vectors."""

    chromadb_host: str = Field("chromadb", description="host of the Chroma server")
    chromadb_port: int = Field(8000, description="port of the Chroma server")
    chromadb_timeout: float = Field(10.0, gt=0, description="seconds for one call to Chroma")
    embedder: str = Field(
        "feature-hash", description="feature-hash, or ollama: and the name of an embedding model; then reindex"
    )


class ModelSettings(OllamaSettings):
    """Which model writes and repairs files."""

    llm_provider: str = Field("ollama", description="ollama, claude-code, openai or rules")
    llm_fallback: Literal["rules", "none"] = Field("rules", description="what writes where the model gives nothing")
    llm_timeout: float = Field(600.0, gt=0, description="seconds for one answer")
    llm_repair_rounds: int = Field(3, ge=0, description="how often findings go back to the model")
    ollama_model: str = Field("pipeline-generator-v5", description="name of the model")
    llm_max_tokens: int = Field(16_384, ge=16, description="tokens of one answer, where the provider is told")
    llm_retries: int = Field(2, ge=0, description="how often a busy model is asked again when it says after how long")
    llm_retry_wait: float = Field(30.0, ge=0, description="the longest such wait in seconds")
    llm_breaker_failures: int = Field(3, ge=1, description="failures in a row after which a model is left alone")
    llm_breaker_pause: float = Field(60.0, ge=0, description="seconds for which it is")
    openai_url: str = Field("http://localhost:8000/v1", description="base URL of an OpenAI-compatible server")
    openai_api_key: SecretStr = Field(SecretStr(""), description="its key, where it wants one")
    openai_model: str = Field("", description="name of its model")
    claude_code_command: str = Field("npx -y @anthropic-ai/claude-code", description="how Claude Code is started")
    claude_code_image: str = Field(
        "docker.io/library/node:22-slim", description="image of the container it runs in; empty: this machine"
    )
    claude_code_engine: str = Field("docker", description="what runs that container: docker or podman")
    claude_code_model: str = Field("", description="model that Claude Code asks; empty is its own default")
    ollama_num_ctx: int = Field(32768, ge=2048, description="context size asked for, in tokens")


class SourceSettings(Environment):
    """What may be cloned, and how much of it."""

    analyzer_allowed_hosts: str = Field(
        "github.com,gitlab.com,bitbucket.org,codeberg.org",
        description="hosts that may be cloned from, with commas between; GitLab's own host always may",
    )
    allow_private_addresses: bool = Field(
        default=False, description="clone from hosts that resolve into private ranges (GitLab's own host always may)"
    )
    clone_timeout: float = Field(120.0, gt=0, description="seconds for one clone")
    clone_max_bytes: int = Field(1_000_000_000, ge=1, description="bytes that one clone may take on disk")
    clone_max_memory: int = Field(4_000_000_000, ge=1, description="bytes of address space that git may take to unpack")
    clone_max_files: int = Field(200_000, ge=1, description="files and folders that a repository may have")
    clone_max_depth: int = Field(64, ge=1, description="folders that a path may go down")
    clone_ssh_key: str | None = Field(None, description="file with the private key (a deploy key) for ssh addresses")
    clone_known_hosts: str | None = Field(None, description="file with the keys of the ssh hosts; None is ssh's own")
    manifest_max_bytes: int = Field(1_000_000, ge=1, description="a manifest larger than this is not read")
    manifests_max_bytes: int = Field(
        50_000_000, ge=1, description="bytes of manifests that are read in all, from the root downwards"
    )
