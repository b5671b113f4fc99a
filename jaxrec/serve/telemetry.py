"""What the service counts, for Prometheus."""

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST


class Telemetry:
    """Requests by route and status, how long they took, and which bundle answers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "jaxrec_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "jaxrec_request_seconds",
            "From a request's head to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._reloads = Counter(
            "jaxrec_reloads", "Bundles taken over or refused.", ["outcome"], registry=self._registry
        )
        self._bundle = Gauge(
            "jaxrec_bundle", "1 for the bundle in service.", ["bundle"], registry=self._registry
        )

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request."""
        method = method if method in ("GET", "HEAD", "POST") else "other"  # bounds the memory
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def reloaded(self, done: bool) -> None:
        """Another bundle, taken over or refused."""
        self._reloads.labels("taken over" if done else "refused").inc()

    def page(self, bundle_id: str) -> bytes:
        """All of it, as Prometheus reads it."""
        self._bundle.clear()
        self._bundle.labels(bundle_id).set(1)
        return prometheus_client.generate_latest(self._registry)
