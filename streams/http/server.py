"""A small HTTP server in the event loop of its caller: routes in, nothing else. It has no login.

    listening = listen("127.0.0.1", 0, "PINTALLY_METRICS")
    async with serving(listening, {"/livez": livez}):
        ...

It runs in the caller's loop on purpose: it answers exactly while that loop does.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from pintally.streams.http.listening import Listening

log = logging.getLogger(__name__)

STOP_SECONDS = 0.5  # for answers that are under way when the server stops

Route = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[[web.Request, Route], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(
    listening: Listening, routes: Mapping[str, Route], *middlewares: Middleware
) -> AsyncIterator[web.Application]:
    """Answer GET and HEAD of these paths until the end of the block.

    A path may have variables, as aiohttp writes them. `middlewares` come around every route, the first outermost; those
    that are given see what the errors became. The socket stays open: it can be served again, by another loop too.
    """
    app = web.Application(middlewares=[_as_aiohttp_calls(each) for each in (*middlewares, in_our_words)])
    for path, route in routes.items():
        app.router.add_get(path, route)
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=STOP_SECONDS, handler_cancellation=True
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening.socket.dup()).start()
        yield app
    finally:
        await runner.cleanup()


def _as_aiohttp_calls(middleware: Middleware) -> Any:
    @web.middleware
    async def called(request: web.Request, handler: Route) -> web.StreamResponse:  # aiohttp passes it by this name
        return await middleware(request, handler)

    return called


async def in_our_words(request: web.Request, route: Route) -> web.StreamResponse:
    """An error becomes one line of text; what nobody foresaw is written to the log too, once."""
    try:
        return await route(request)
    except web.HTTPException as error:
        return web.Response(status=error.status, headers=_kept(error), text=f"{_words(request, error)}\n")
    except Exception:
        log.exception("%s %s: an error that nobody foresaw", request.method, request.path)
        return web.Response(status=500, text="error: an error that nobody foresaw; the log has it\n")


def _words(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPNotFound):
        return f"error: nothing is at {request.path}"
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"error: {request.method} is not possible here; use GET"
    return f"error: {error.text or error.reason}"


def _kept(error: web.HTTPException) -> dict[str, str]:
    return {name: error.headers[name] for name in ("Allow", "Location", "Retry-After") if name in error.headers}
