"""Metrics are answered in one format, whoever is asked."""

import asyncio

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from pintally.serve.routes import routes as routes_of_serve
from pintally.serve.served import Served
from pintally.streams.http.server import Route
from pintally.streams.settings import Settings
from pintally.streams.worker.health import Health
from pintally.streams.worker.serving import routes as routes_of_worker


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
