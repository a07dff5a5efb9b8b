"""The page of a real `pintally serve` in a real Chromium: it equals the ledger, and finds what is wrong by itself."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pintally.streams.settings import Settings
from pintally.tools.engines.ports import free_port
from tests.e2e.running import Traffic, wait_caught_up, wait_for, workers
from tests.page.conftest import WAIT_MS
from tests.serve.serving import Counted, Serve, between, of_ledger, serving
from tests.support.engines import TestEngines

TRAFFIC = ("--rate", "1500", "--duplicates", "0.02", "--late", "0.004", "--broken", "0.004")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    assert complaints == []


def shown(page: Page) -> Counted:
    """The table of all outcomes, as a person reads it."""
    rows = page.eval_on_selector_all(
        "#outcomes tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return {(topic, outcome): int(total.replace(",", "")) for topic, outcome, _, total in rows}


def shows(page: Page, low: Counted) -> Counted:
    """What it shows once nothing is below these counts. Raises TimeoutError if that never comes."""

    def reached() -> Counted | None:
        seen = shown(page)
        return seen if all(seen.get(key, -1) >= count for key, count in low.items()) else None

    found: Counted = wait_for(reached, 60, "counts of a moment ago on the page")
    return found


def test_the_page_equals_the_ledger_and_says_what_is_wrong(
    stack: Settings, restartable_engines: TestEngines, page: Page, tmp_path: Path
) -> None:
    port = free_port()
    with (
        serving(stack, tmp_path, serve_workers=f"127.0.0.1:{port}") as serve,
        workers(stack.changed(metrics_port=port), tmp_path) as start,
    ):
        page.goto(serve.url)
        headline = page.locator("h1")
        expect(headline).to_have_text(re.compile("No worker runs"))
        expect(page.locator("#command")).to_have_text("pintally worker")
        worker = start("one")
        with Traffic(stack, *TRAFFIC) as traffic:
            expect(headline).to_have_text(re.compile("^All records are counted"))
            low = of_ledger(stack)
            seen = shows(page, low)
            assert between(low, seen, of_ledger(stack))
            expect(page.locator("#workers tbody tr")).to_contain_text("answers")
            expect(page.locator("#steps tbody tr").first).to_be_visible()
            expect(page.locator("#f-fresh")).to_have_text(re.compile(r"\d"))
            worker.kill()
            expect(headline).to_have_text(re.compile("No worker runs: [0-9,]+ records? waits?"))
            expect(page.locator("#workers tbody tr")).to_contain_text("■ ended")
            goes_away(page, serve, restartable_engines)
            start("one")
            expect(headline).to_have_text(re.compile("^(All records are counted|Counting is)"))
            traffic.stop()
        wait_caught_up(stack)
        expect(page.locator("#f-lag")).to_have_text("0")
        assert shows(page, of_ledger(stack)) == of_ledger(stack)
        page.goto("about:blank")  # else the browser complains that serve ends


def goes_away(page: Page, serve: Serve, engines: TestEngines) -> None:
    """ClickHouse is killed: the page says so, and how old what it shows is; then it comes back."""
    engines.clickhouse.kill()
    expect(page.locator("h1")).to_have_text(re.compile("^ClickHouse does not answer"))
    expect(page.locator("#since")).to_have_text(re.compile(r"^Since \d\d:\d\d:\d\d UTC, for \d+ s\.$"))
    expect(page.locator("#f-rate")).to_have_text("\N{EN DASH}")
    expect(page.locator("section[data-of=clickhouse] .age").first).to_have_text(re.compile(r"\d+ s old"))
    expect(page.locator("#link")).to_have_text("Page connected")
    assert serve.get("/livez")[0] == 200
    engines.clickhouse.start()
    engines.clickhouse.wait_ready()
    expect(page.locator("#link")).to_have_text("Live")
