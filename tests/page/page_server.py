"""Serves the page's files and a document that tests set, as `pintally serve` does; tests may cut the stream."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pintally.serve
from pintally.serve.routes import POLICY
from pintally.serve.state import State

PAGE = Path(pintally.serve.__file__).parent / "page"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class PageServer(ThreadingHTTPServer):
    """On a free port of loopback. `show` gives all streams a new document, `cut` ends them and refuses new ones."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, state: State) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.state, self.cut_off, self.was_cut = state, False, False
        self.changed = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def show(self, state: State) -> None:
        with self.changed:
            self.state = state
            self.changed.notify_all()

    def cut(self, *, off: bool = True) -> None:
        with self.changed:
            self.cut_off = off
            self.was_cut = True
            self.changed.notify_all()


class Answer(BaseHTTPRequestHandler):
    """The routes of `pintally serve` that the page asks."""

    server: PageServer

    def do_GET(self) -> None:
        if self.server.cut_off:
            self.send_error(503)
        elif self.path == "/api/events":
            self._events()
        elif self.path == "/api/state.json":
            self._send(self.server.state.model_dump_json().encode(), "application/json")
        else:
            self._file("index.html" if self.path == "/" else self.path.removeprefix("/page/"))

    def _file(self, name: str) -> None:
        path = PAGE / name
        if path.is_file():
            self._send(path.read_bytes(), TYPES.get(path.suffix, "text/plain"))
        else:
            self.send_error(404)

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        shown = None
        while not self.server.cut_off:
            state = self.server.state
            if state is not shown:
                self.wfile.write(f"retry: 200\nid: {state.number}\ndata: {state.model_dump_json()}\n\n".encode())
                self.wfile.flush()
                shown = state
            with self.server.changed:
                if self.server.state is shown and not self.server.cut_off:
                    self.server.changed.wait(0.5)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def page_server(state: State) -> Iterator[PageServer]:
    """A server with a document; it ends with the block."""
    server = PageServer(state)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.cut()
        server.shutdown()
        server.server_close()
        thread.join()
