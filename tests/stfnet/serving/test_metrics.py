from types import SimpleNamespace

import pytest

pytest.importorskip("prometheus_client", reason="needs pip install -e '.[serve]'")

from stfnet.serving.limits import Limits
from stfnet.serving.metrics import Metrics

pytestmark = pytest.mark.slow  # only because make test does not install what it needs


def test_figures_are_those_counted():
    jobs = SimpleNamespace(in_hand=3, limits=Limits(queue=5))
    metrics = Metrics(jobs)
    metrics.count(200)
    metrics.count(200)
    metrics.count(503)
    metrics.time(1.5)
    lines = metrics.text().decode().splitlines()
    for line in (
        'stfnet_requests_total{status="200"} 2.0',
        'stfnet_requests_total{status="503"} 1.0',
        'stfnet_request_seconds_bucket{le="1.0"} 0.0',
        'stfnet_request_seconds_bucket{le="2.0"} 1.0',
        "stfnet_requests_in_hand 3.0",
        "stfnet_queue_limit 5.0",
    ):
        assert line in lines
    jobs.in_hand = 0
    assert b"stfnet_requests_in_hand 0.0" in metrics.text()
    assert b"stfnet_requests_total{" not in Metrics(jobs).text()  # of its own server alone
