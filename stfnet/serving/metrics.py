"""What /metrics counts, in the text format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector

from stfnet.serving.jobs import Jobs

SECONDS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)  # upper edges of the histogram


class Metrics:
    """The counters of one server.

    Args:
        jobs: of the server.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, jobs: Jobs):
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "stfnet_requests",
            "Videos sent, by the status of the answer.",
            ["status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "stfnet_request_seconds",
            "From the whole upload to the answer, of those that got one.",
            buckets=SECONDS,
            registry=self._registry,
        )
        in_hand = Gauge(
            "stfnet_requests_in_hand",
            "Being uploaded, waiting or computed.",
            registry=self._registry,
        )
        in_hand.set_function(lambda: jobs.in_hand)
        limit = Gauge("stfnet_queue_limit", "Requests at once.", registry=self._registry)
        limit.set(jobs.limits.queue)

    def count(self, status: int) -> None:
        """Counts an answer by its status of HTTP."""
        self._requests.labels(str(status)).inc()

    def time(self, seconds: float) -> None:
        """Adds the seconds that a request took."""
        self._seconds.observe(seconds)

    def text(self) -> bytes:
        """All figures, as Prometheus reads them."""
        return generate_latest(self._registry)
