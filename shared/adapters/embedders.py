"""What turns the features of a template into a vector: a deterministic hash, or a model that a person names."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import httpx
import numpy as np

from shared.errors import Reject, Retry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.ports import Embedder
    from shared.settings import ChromaSettings

FEATURE_HASH = "feature-hash"
DIMENSIONS = 512
OLLAMA = "ollama:"
# A model reads the features as a sentence; of very many dependencies the first ones tell what it is.
FEATURES_READ = 60


class FeatureHash:
    """Nothing to download, the same on every machine."""

    id = f"feature-hash-{DIMENSIONS}-v2"

    async def embed(self, features: Sequence[Mapping[str, float]]) -> list[Sequence[float]]:
        """Unit vectors of `DIMENSIONS` float32."""
        return [feature_hash(weights).tolist() for weights in features]


class OllamaEmbedder:
    """A model behind Ollama's `/api/embed`."""

    def __init__(self, url: str, model: str, timeout: float) -> None:
        """Nothing is asked yet; `timeout` in seconds."""
        self.id = f"{OLLAMA}{model}"
        self._url = f"{url.rstrip('/')}/api/embed"
        self._model = model
        self._timeout = timeout

    async def embed(self, features: Sequence[Mapping[str, float]]) -> list[Sequence[float]]:
        """The model's vectors; Retry where Ollama does not answer or has no such model: a person can still pull it."""
        asked = {"model": self._model, "input": [sentence(weights) for weights in features], "truncate": True}
        try:
            async with httpx.AsyncClient(timeout=self._timeout) as client:
                answer = await client.post(self._url, json=asked)
            document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Retry(f"the embedder at {self._url} does not answer: {str(error) or type(error).__name__}") from error
        vectors = document.get("embeddings") if isinstance(document, dict) else None
        if not isinstance(vectors, list) or len(vectors) != len(features):
            said = document.get("error") if isinstance(document, dict) else None
            raise Retry(f"the embedder {self.id} at {self._url} gives no vectors: {said or answer.status_code}")
        return vectors


def embedder_of(settings: ChromaSettings) -> Embedder:
    """The embedder that EMBEDDER names; Reject where it names none."""
    if settings.embedder == FEATURE_HASH:
        return FeatureHash()
    if settings.embedder.startswith(OLLAMA) and settings.embedder != OLLAMA:
        return OllamaEmbedder(settings.ollama_url, settings.embedder.removeprefix(OLLAMA), settings.chromadb_timeout)
    raise Reject(f"EMBEDDER={settings.embedder} is none; it is {FEATURE_HASH}, or {OLLAMA} and the name of a model")


def feature_hash(weights: Mapping[str, float]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A unit vector: each token adds its weight, or takes it, at a place its sha256 decides.

    With nothing to add the vector is that of the empty token, because Chroma compares by angle.
    """
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for token, weight in (weights or {"": 1.0}).items():
        digest = hashlib.sha256(token.encode()).digest()
        vector[int.from_bytes(digest[:4], "big") % DIMENSIONS] += weight if digest[4] % 2 else -weight
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


def sentence(weights: Mapping[str, float]) -> str:
    """The features as a model reads them, the weightiest first."""
    ordered = sorted(weights.items(), key=lambda pair: -pair[1])[:FEATURES_READ]
    return ", ".join(token.replace("=", " ") for token, _ in ordered) or "nothing"
