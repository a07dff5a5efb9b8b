"""The routes of `pintally serve`. Nothing can be changed by them, and nothing of a person is in them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Final

from aiohttp import web

from pintally.serve.metrics import registry_of
from pintally.serve.served import Served
from pintally.streams.http.exposition import answer
from pintally.streams.http.server import Middleware, Route
from pintally.streams.settings import Settings

PAGE: Final = Path(__file__).parent / "page"
TYPES: Final = {
    ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", "": "text/plain",
}  # fmt: skip
# Only files of this server: no script or style within the page, no other host, no frame, no form.
POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MOST_VIEWERS: Final = 100
SILENT_SECONDS: Final = 15.0  # then a comment, so that nothing between us and the browser closes the stream
STALE_SECONDS: Final = 60.0


def routes(settings: Settings, served: Served) -> Mapping[str, Route]:
    """Every route, by path."""
    files = {f"/{path.relative_to(PAGE.parent)}": path for path in PAGE.rglob("*") if path.is_file()}
    registry = registry_of(settings, served)

    async def file(request: web.Request) -> web.StreamResponse:
        path = files.get(request.path, PAGE / "index.html")
        return web.Response(
            body=path.read_bytes(),
            content_type=TYPES.get(path.suffix, "text/plain"),
            charset="utf-8",
            headers={"Cache-Control": "no-cache"},
        )

    async def state(request: web.Request) -> web.StreamResponse:
        served.looking.polled()
        await served.fresh()
        tag = f'"{served.state.number}"'
        headers = {"Cache-Control": "no-cache", "ETag": tag}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=served.document, content_type="application/json", headers=headers)

    async def metrics(_request: web.Request) -> web.StreamResponse:
        served.looking.scraped()
        return answer(registry)

    async def events(request: web.Request) -> web.StreamResponse:
        return await _events(request, served)

    async def livez(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"live": True})

    async def readyz(_request: web.Request) -> web.StreamResponse:
        return _ready(served)

    return {
        "/": file,
        **dict.fromkeys(files, file),
        "/api/state.json": state,
        "/api/events": events,
        "/metrics": metrics,
        "/livez": livez,
        "/readyz": readyz,
        "/startupz": livez,
    }


def guarded(served: Served) -> Middleware:
    """A middleware: the headers that every answer has, and the number of answers."""

    async def guard(request: web.Request, handler: Route) -> web.StreamResponse:
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        resource = request.match_info.route.resource
        served.answers[resource.canonical if resource else "unknown", str(response.status)] += 1
        return response

    return guard


async def _events(request: web.Request, served: Served) -> web.StreamResponse:
    """Each look as an event, to at most MOST_VIEWERS."""
    if served.looking.viewers >= MOST_VIEWERS:
        raise web.HTTPServiceUnavailable(text=f"{MOST_VIEWERS} viewers are here already", headers={"Retry-After": "10"})
    response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    with served.looking.viewing():
        shown = -1
        while True:
            if served.state.number != shown and served.state.number:
                shown = served.state.number
                await response.write(b"retry: 2000\nid: %d\ndata: %s\n\n" % (shown, served.document))
            try:
                await asyncio.wait_for(served.wait_changed(), SILENT_SECONDS)
            except TimeoutError:
                await response.write(b": still here\n\n")


def _ready(served: Served) -> web.Response:
    """Ready if both engines answered in the last minute. The page shows what is known, in any case."""
    look = served.look
    age = time() - look.answered if look.answered else None
    ready = age is not None and age < STALE_SECONDS
    reasons = [f"{engine}: {trouble.what}" for engine, trouble in look.trouble.items()]
    document = {"ready": ready, "age_seconds": None if age is None else round(age, 1), "reasons": reasons}
    return web.json_response(document, status=200 if ready else 503, headers={"Retry-After": "5"} if not ready else {})
