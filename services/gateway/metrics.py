"""What the gateway itself knows, in Prometheus' text format."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0 as CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.gateway.problems import Handler

# Seconds; a page is to take less than 20 ms.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
STATUSES = ("running", "passed", "failed", "cancelled", "committed")


class Metrics:
    """The counters of one gateway."""

    def __init__(self) -> None:
        """Everything at 0."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "greenrun_gateway_requests", "Requests.", ("method", "path", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "greenrun_gateway_request_seconds",
            "Time to answer, streams left out.",
            ("method", "path"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._streams = self._gauge("streams", "Event streams that are open.")
        self._sequence = self._gauge("projection_sequence", "The list of runs is true up to this sequence of the log.")
        self._lag = self._gauge("projection_lag", "Sequences of the log that are not in the list of runs yet.")
        self._runs = Gauge("greenrun_gateway_runs", "Runs by status.", ("status",), registry=self.registry)

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(f"greenrun_gateway_{name}", words, registry=self.registry)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count every request by its route, whose path has names in the place of ids."""
        began = time.perf_counter()
        response = await handler(request)
        resource = request.match_info.route.resource
        path = resource.canonical if resource else "none"
        self._requests.labels(request.method, path, str(response.status)).inc()
        if isinstance(response, web.Response):
            self._seconds.labels(request.method, path).observe(time.perf_counter() - began)
        return response

    def text(self, *, streams: int, sequence: int, lag: int, runs: Mapping[str, int]) -> web.Response:
        """All of it, with these as they are now."""
        self._streams.set(streams)
        self._sequence.set(sequence)
        self._lag.set(lag)
        for status in STATUSES:
            self._runs.labels(status).set(runs.get(status, 0))
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE})
