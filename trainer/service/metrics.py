"""What the service counts, in Prometheus's format."""

from __future__ import annotations

import prometheus_client

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """The counters of one service.

    Attributes:
      requests: by endpoint and status.
      seconds: of a request from its headers to its answer, by endpoint.
      refusals: by reason.
      gone: clients that left before their answer.
      pictures: that the networks have seen.
      batch_pictures: of a batch.
      network_seconds: of a batch in the networks.
      pictures_in_work: admitted and not answered.
      connections: open ones.
    """

    def __init__(self) -> None:
        # A time stamp beside each counter would double the text.
        prometheus_client.disable_created_metrics()
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)
        self.requests = self._counter("requests", "Requests answered", "endpoint", "status")
        self.refusals = self._counter("refusals", "Requests refused", "reason")
        self.gone = self._counter("clients_gone", "Clients that left before their answer")
        self.pictures = self._counter("pictures", "Pictures that the networks have seen")
        self.seconds = prometheus_client.Histogram(
            "classifier_request_seconds",
            "Seconds from a request's headers to its answer",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.batch_pictures = prometheus_client.Histogram(
            "classifier_batch_pictures",
            "Pictures in a batch",
            buckets=_BATCHES,
            registry=self._registry,
        )
        self.network_seconds = prometheus_client.Histogram(
            "classifier_network_seconds",
            "Seconds of a batch in the networks",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.pictures_in_work = self._gauge("pictures_in_work", "Pictures admitted, not answered")
        self.connections = self._gauge("connections", "Open connections")

    def batch(self, pictures: int, seconds: float) -> None:
        """Counts a batch."""
        self.pictures.inc(pictures)
        self.batch_pictures.observe(pictures)
        self.network_seconds.observe(seconds)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return prometheus_client.generate_latest(self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> prometheus_client.Counter:
        return prometheus_client.Counter(
            f"classifier_{name}", text, labels, registry=self._registry
        )

    def _gauge(self, name: str, text: str) -> prometheus_client.Gauge:
        return prometheus_client.Gauge(f"classifier_{name}", text, registry=self._registry)
