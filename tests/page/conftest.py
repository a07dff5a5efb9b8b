"""A real Chromium, and the page in it. What the browser complains about, or asks of another host, fails the test."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.page.page_server import PageServer, page_server
from tests.page.states import state
from tests.support.programs import chromium

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
WAIT_MS = 90_000  # on a busy machine; only failures take it
Open = Callable[..., Page]


@pytest.fixture(scope="module")  # Playwright leaves an event loop running: until its end no other test may have its own
def browser() -> Iterator[Browser]:
    program = chromium()
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def served() -> Iterator[PageServer]:
    with page_server(state()) as server:
        yield server


@pytest.fixture
def open_page(browser: Browser, served: PageServer) -> Iterator[Open]:
    """Opens an address in a new context: `open_page(url, width=360, scheme="dark")`.

    It asks for the server so that the pages are closed before it ends: else they complain about its end.
    """
    contexts, complaints = [], []

    def opened(url: str, *, width: int = 1280, height: int = 900, scheme: Any = "light", **more: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **more)
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("request", lambda asked: complaints.append(asked.url) if not _same(asked.url, url) else None)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    if served.was_cut:  # the browser says that the server refuses, and this is what the test is about
        complaints = [each for each in complaints if "503 (Service Unavailable)" not in each]
    assert complaints == []


def _same(asked: str, url: str) -> bool:
    return urlsplit(asked).netloc == urlsplit(url).netloc
