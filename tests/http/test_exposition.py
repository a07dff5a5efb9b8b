"""Metrics are answered in one format, whoever is asked."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from pintally.serve.routes import routes as routes_of_serve
from pintally.serve.served import Served
from pintally.streams.http.exposition import Weighted, histogram
from pintally.streams.http.server import Route
from pintally.streams.settings import Settings
from pintally.streams.worker.health import Health
from pintally.streams.worker.serving import routes as routes_of_worker

FRESHNESS = "pintally_worker_freshness_seconds"


async def asked(metrics: Route) -> str:
    answer = await metrics(make_mocked_request("GET", "/metrics"))
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    assert b"\n# TYPE process_cpu_seconds_total counter\n" in answer.body
    return answer.headers["Content-Type"]


def test_a_worker_and_serve_answer_in_the_text_format_that_every_prometheus_reads() -> None:
    async def both() -> list[str]:
        settings = Settings.of(None)
        routes = routes_of_worker(Health()), routes_of_serve(settings, Served(settings))
        return [await asked(each["/metrics"]) for each in routes]

    assert asyncio.run(both()) == ["text/plain; version=0.0.4; charset=utf-8"] * 2


def test_a_weighted_histogram_is_one_in_which_each_thing_was_observed() -> None:
    weighted, plain = Weighted(FRESHNESS), histogram(FRESHNESS)
    for topic, value, number in (("a", 0.25, 3), ("a", 0.3, 2), ("b", 1000.0, 1), ("a", 7.0, 5)):
        weighted.observe((topic,), value, number)
        for _ in range(number):
            plain.labels(topic).observe(value)
    expected = {(each.name, *each.labels.items()): each.value for each in next(iter(plain.collect())).samples}
    found = {(each.name, *each.labels.items()): each.value for each in next(weighted.collect()).samples}
    assert found == pytest.approx(expected)
