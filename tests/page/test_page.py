"""The page in a real Chromium: what it shows is what the document says, for everyone who reads it."""

import hashlib
import re
import time
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.running import wait_for
from tests.page.conftest import Open
from tests.page.page_server import PAGE, PageServer
from tests.page.states import MARKUP, TOPICS, state

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
VENDORED = {
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
OVER_A_MINUTE_S = 62  # it is shown in minutes and seconds, as "1 min" for almost a minute more

STALLED = {
    "kind": "stalled",
    "level": "stopped",
    "sentence": "No worker counts engagement.save.v1[3].",
    "command": "pintally status --json",
}

MORE: dict[str, Any] = {"detail": "Its log says why.", "runbook": "pintallysourcestalled"}
OTHERS: list[dict[str, Any]] = [
    {"kind": "invalid", "level": "wrong", "sentence": "A producer sends invalid records to engagement.save.v1.",
     "detail": "For example: pin_id: must be a number.", "command": "pintally dlq list --outcome invalid"},
    {"kind": "gone", "level": "warning", "sentence": "The worker two hangs. Others count its partitions.",
     "command": "kill -9 7", "then": ["pintally worker --instance two"]},
]  # fmt: skip

WATCH_COPY = """() => {
    const copy = document.getElementById('copy');
    window.told = [];
    new MutationObserver(() => window.told.push(copy.textContent)).observe(copy, {childList: true, subtree: true});
}"""
FOCUSED = """() => {
    const e = document.activeElement;
    return e.id || e.getAttribute('aria-labelledby') || e.className || e.value || e.tagName;
}"""


def wait_shown(page: Page) -> None:
    expect(page.locator("#sources tbody tr").first).to_be_visible()


def table(page: Page, name: str) -> list[list[str]]:
    cells = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    found: list[list[str]] = page.eval_on_selector_all(f"#{name} tbody tr", cells)
    return found


def stalled_source() -> list[dict[str, Any]]:
    sources = [source.model_dump() for source in state().sources]
    sources[3] |= {"state": "stalled", "lag": 120_000, "lag_seconds": 400.0, "member": None}
    sources[3] |= {"stands_since": state().looked_at - OVER_A_MINUTE_S}
    return sources


def gone_workers() -> dict[str, Any]:
    shown = state().workers.model_dump()
    ended, hangs = ({**each, "answers": False, "silent_since": time.time() - 2} for each in shown["known"])
    ended["ended"] = True
    counts = {**shown["known"][0], "address": "127.0.0.1:9303", "member": None}
    cut_off = {**counts, "address": "127.0.0.1:9304", "away": {"clickhouse": 30.0}}
    return {**shown, "known": [ended, hangs, counts, cut_off]}


def differing() -> list[dict[str, Any]]:
    return [{**run.model_dump(), "differences": 3 * (run.scope == "whole")} for run in state().verified]


def test_uplot_is_the_release_that_was_vendored() -> None:
    folder = PAGE / "vendor" / "uplot"
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()} == VENDORED


def test_the_page_names_no_other_host_and_has_no_inline_script_or_style() -> None:
    page = (PAGE / "index.html").read_text()
    assert not re.search(r"https?://|<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)


def test_the_sentence_stands_first_and_in_the_title_of_the_tab(open_page: Open, served: PageServer) -> None:
    page = open_page(served.url)
    wait_shown(page)
    sentence = served.state.condition.sentence
    expect(page.locator("h1")).to_have_text(sentence)
    assert page.title() == f"All well: {sentence} \N{EN DASH} Pintally"
    assert page.get_by_role("heading").first.text_content() == page.locator("h1").text_content()


def test_each_table_has_what_the_document_has(open_page: Open, served: PageServer) -> None:
    page = open_page(served.url)
    wait_shown(page)
    shown, now = served.state, time.strftime("%H:%M:%S", time.gmtime(served.state.sources[0].stream_time))
    assert table(page, "sources")[0] == [
        f"{TOPICS[0]}[0]", "● keeps up", "78", "0.8 s", now, "12,345,600", "12,345,678", "worker-0", "6 d 23 h",
    ]  # fmt: skip
    assert [row[0] for row in table(page, "sources")] == [f"{each.topic}[{each.partition}]" for each in shown.sources]
    totals = {(row[0], row[1]): row[3] for row in table(page, "outcomes")}
    assert totals == {(each.topic, each.outcome): f"{each.total:,}" for each in shown.outcomes}
    assert [row[:2] for row in table(page, "top")] == [[pin.pin_id, f"{pin.events:,}"] for pin in shown.top]
    assert page.locator("#top svg").first.locator("rect").count() == 60
    assert [row[:3] for row in table(page, "workers")] == [
        [worker.member, worker.address, "● answers"] for worker in shown.workers.known
    ]
    assert [row[0] for row in table(page, "steps")] == [step.step.replace("_", " ") for step in shown.workers.steps]
    assert table(page, "verified") == [
        ["whole", "● exact", "198,000,000", "1 h 30 min"],
        ["sample, 5%", "● exact", "9,000,000", "9 min"],
    ]
    assert page.locator("#held-by").text_content() == shown.sealing.held_by


def test_a_reason_with_markup_is_shown_as_text(open_page: Open, served: PageServer) -> None:
    page = open_page(served.url)
    wait_shown(page)
    assert MARKUP in [row[4] for row in table(page, "letters")]
    assert page.locator("#letters img, #letters script").count() == 0
    assert "owned" not in page.title()


def test_trouble_comes_first_with_the_command_and_a_word_for_each_state(open_page: Open, served: PageServer) -> None:
    page = open_page(served.url)
    wait_shown(page)
    served.show(state(2, condition={**STALLED, "runbook": "pintallysourcestalled"}, sources=stalled_source()))
    expect(page.locator("h1")).to_have_text(STALLED["sentence"])
    expect(page.locator("#command")).to_have_text(STALLED["command"])
    expect(page.locator("#runbook")).to_have_text("docs/runbook.md#pintallysourcestalled")
    first = table(page, "sources")[0]
    assert first[0] == f"{TOPICS[0]}[3]"
    assert re.fullmatch(r"■ stalled for 1 min \d+ s", first[1])
    assert first[2] == "120,000"
    assert first[7] == "nobody"
    assert page.title().startswith("Stopped: ")
    assert page.get_attribute("#icon", "href") == "/page/icon-stopped.svg"


def test_the_cause_is_said_with_what_is_known_of_it_and_since_when(open_page: Open, served: PageServer) -> None:
    since = time.time() - OVER_A_MINUTE_S
    served.show(state(2, condition={**STALLED, **MORE, "since": since}))
    page = open_page(served.url)
    expect(page.locator("#detail")).to_have_text(MORE["detail"])
    clock = time.strftime("%H:%M:%S", time.gmtime(since))
    expect(page.locator("#since")).to_have_text(re.compile(rf"^Since {clock} UTC, for 1 min \d+ s\.$"))
    served.show(state(3))
    for name in ("detail", "more", "others"):
        expect(page.locator(f"#{name}")).to_be_hidden()


def test_what_else_is_wrong_stands_below_the_worst_each_with_its_command(open_page: Open, served: PageServer) -> None:
    since = time.time() - OVER_A_MINUTE_S
    served.show(state(2, condition=STALLED, others=[{**each, "since": since} for each in OTHERS]))
    page = open_page(served.url)
    items = page.get_by_role("list", name="Also", exact=True).get_by_role("listitem")
    expect(items).to_have_count(2)
    for item, other in zip(items.all(), OTHERS, strict=True):
        expect(item.locator("p").first).to_have_text(other["sentence"])
        expect(item.locator("code")).to_have_text("; ".join([other["command"], *other.get("then", [])]))
    expect(items.first.locator(".level")).to_have_text("Problem")
    expect(items.first).to_contain_text(re.compile(r"Since \d\d:\d\d:\d\d UTC, for 1 min \d+ s\."))
    served.cut()
    expect(page.locator("h1")).to_have_text(re.compile("^No connection"))
    expect(items).to_have_count(0)


def test_a_worker_that_is_gone_is_marked_with_the_time_since_when(open_page: Open, served: PageServer) -> None:
    served.show(state(2, workers=gone_workers()))
    page = open_page(served.url)
    expect(page.locator("#workers tbody tr")).to_have_count(4)
    shown = table(page, "workers")
    assert [row[2] for row in shown[2:]] == ["● answers", "▲ waits for ClickHouse"]
    assert re.fullmatch(r"■ ended \d+ s ago", shown[0][2])
    assert re.fullmatch(r"■ no answer for \d+ s", shown[1][2])
    expect(page.locator("#workers tr[data-state=stalled]")).to_have_count(2)
    expect(page.locator("#workers-note")).to_have_text("2 of 4 answer")


def test_a_sample_does_not_hide_what_the_whole_run_found(open_page: Open, served: PageServer) -> None:
    served.show(state(2, verified=differing()))
    page = open_page(served.url)
    expect(page.locator("#verified tr[data-state=stalled]")).to_have_text(re.compile("whole■ 3 differences"))
    expect(page.locator("#verified tr[data-state=ok]")).to_have_text(re.compile("sample, 5%● exact"))
    served.show(state(3, verified=[]))
    expect(page.locator("#verified-empty")).to_be_visible()


def test_the_command_can_be_copied(open_page: Open, served: PageServer) -> None:
    served.show(state(2, condition=STALLED))
    page = open_page(served.url, permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(WATCH_COPY)  # it says `Copied` for two seconds only
    page.get_by_role("button", name="Copy").click()
    page.wait_for_function("() => window.told.includes('Copied')")
    assert page.evaluate("navigator.clipboard.readText()") == STALLED["command"]


def test_what_is_old_without_an_engine_is_marked_and_its_age_ticks(open_page: Open, served: PageServer) -> None:
    page = open_page(served.url)
    wait_shown(page)
    expect(page.locator("#link")).to_have_text("Live")
    served.show(state(2, away={"clickhouse": time.time() - 12}))
    mark = page.locator("#h-top + .age")
    expect(mark).to_be_visible()
    first = _age(mark.text_content() or "")
    page.wait_for_function("old => document.querySelector('#h-top + .age').textContent !== old", arg=f"{first} s old")
    assert 12 <= first < _age(mark.text_content() or "")
    assert page.locator("[data-of=page] .age:visible").count() == 0
    expect(page.locator("#link")).to_have_text("Page connected")
    expect(page.locator("#link")).to_have_attribute("data-open", "false")
    served.show(state(3))
    expect(page.locator(".age:visible")).to_have_count(0)


def _age(mark: str) -> int:
    found = re.search(r"(\d+) s old$", mark)
    assert found, mark
    return int(found[1])


def test_without_clickhouse_the_lag_is_a_bound_of_now_and_rates_are_not_known(
    open_page: Open, served: PageServer
) -> None:
    unknown = [{**each.model_dump(), "per_second": None} for each in state().outcomes]
    served.show(state(2, away={"clickhouse": time.time() - 12}, outcomes=unknown))
    page = open_page(served.url)
    wait_shown(page)
    expect(page.locator("#f-lag-note")).to_have_text("records at most, without ClickHouse")
    expect(page.locator("dl.figures .age:visible")).to_have_count(0)
    expect(page.locator("#f-rate")).to_have_text("\N{EN DASH}")
    expect(page.locator("#f-rate-note")).to_have_text("not known without ClickHouse")
    expect(page.locator("#h-sources + .age")).to_have_text(re.compile(r"^position and stream time \d+ s old$"))


def test_without_kafka_what_it_alone_knows_is_unknown(open_page: Open, served: PageServer) -> None:
    sources = [
        {**each.model_dump(), "state": "unknown", "retention_headroom": None, "blocked": True}
        for each in state().sources
    ]
    served.show(state(2, away={"kafka": time.time() - 12}, sources=sources))
    page = open_page(served.url)
    wait_shown(page)
    first = table(page, "sources")[0]
    assert (first[1], first[8]) == ("? unknown", "unknown")
    expect(page.locator("#sources-note")).to_have_text("12 sources: 12 unknown")
    expect(page.locator("#h-sources + .age")).to_have_text(re.compile(r"^log end, lag and worker \d+ s old$"))
    expect(page.locator("#f-lag-note")).to_have_text("records, when Kafka last answered")


def test_freshness_is_not_shown_when_nothing_became_visible(open_page: Open, served: PageServer) -> None:
    page = open_page(served.url)
    wait_shown(page)
    served.show(state(2))  # the first one was made before a browser was started
    expect(page.locator("#f-fresh")).to_have_text("1.4 s")
    expect(page.locator("#f-fresh-note")).to_have_text("for 99% of the last minute's records")
    stands = {**state().workers.model_dump(), "visible_at": time.time() - 30}
    served.show(state(3, workers=stands))
    expect(page.locator("#f-fresh")).to_have_text("\N{EN DASH}")
    expect(page.locator("#f-fresh-note")).to_have_text("nothing was counted in 15 s")
    expect(page.locator("#fresh-empty")).to_be_visible()


def test_one_line_says_what_is_lost_and_how_far_counts_are_right(open_page: Open, served: PageServer) -> None:
    page = open_page(served.url)
    expect(page.locator("#assurance")).to_have_text(served.state.assurance)
    served.cut()
    expect(page.locator("#assurance")).to_have_text(re.compile("not known here. The counts shown are stale"))


def test_a_command_is_called_a_check_or_is_run_and_others_follow_it(open_page: Open, served: PageServer) -> None:
    served.show(state(2, condition={**STALLED, "checks": True}))
    page = open_page(served.url)
    expect(page.locator("#command-word")).to_have_text("Check with")
    expect(page.locator("#then")).to_be_hidden()
    served.show(state(3, condition={**STALLED, "command": "kill -9 7", "then": ["pintally worker"] * 2}))
    expect(page.locator("#command-word")).to_have_text("Run")
    expect(page.locator("#then li")).to_have_text(["Thenpintally worker"] * 2)
    served.show(state(4, condition={**STALLED, "command": "pintally worker", "then": ["pintally worker --instance b"]}))
    expect(page.locator("#then li")).to_have_text(["Andpintally worker --instance b"])


def test_a_lost_connection_is_said_with_the_age_and_mends_itself(open_page: Open, served: PageServer) -> None:
    page = open_page(served.url)
    wait_shown(page)
    said = served.state.condition.sentence
    served.cut()
    expect(page.locator("h1")).to_have_text(re.compile(r"^No connection to pintally serve for \d+\ss"))
    expect(page.locator("#last")).to_have_text(f"Last known: {said}")
    assert page.title().startswith("Unknown: No connection")
    expect(page.locator("#h-sources + .age")).to_contain_text("s old")
    served.cut(off=False)
    served.show(state(7, lag=4_321))
    expect(page.locator("h1")).to_have_text(said)
    expect(page.locator("#f-lag")).to_have_text("4,321")
    expect(page.locator("#link")).to_have_text("Live")


def test_only_the_sentence_is_live_and_moving_numbers_are_not_read_out(open_page: Open, served: PageServer) -> None:
    page = open_page(served.url)
    wait_shown(page)
    live = page.locator("[aria-live], [role=status], [role=alert]")
    assert live.evaluate_all("nodes => nodes.map(node => node.id)") == ["announced"]
    first = served.state.condition.sentence
    moved = first.replace("0.8 s", "1.4 s")
    served.show(state(2, condition={"kind": "well", "level": "ok", "sentence": moved}))
    expect(page.locator("h1")).to_have_text(moved)
    expect(live).to_have_text(first)
    served.show(state(3, condition=STALLED))
    expect(live).to_have_text(STALLED["sentence"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(open_page: Open, served: PageServer, scheme: str, width: int) -> None:
    trouble: dict[str, Any] = {
        "away": {"clickhouse": time.time() - 42}, "condition": {**STALLED, **MORE}, "others": OTHERS,
        "sources": stalled_source(), "workers": gone_workers(), "verified": differing(),
    }  # fmt: skip
    page = open_page(served.url, width=width, scheme=scheme)
    wait_shown(page)
    page.locator("summary").click()
    for changes in ({}, trouble):
        served.show(state(served.state.number + 1, **changes))
        expect(page.locator("h1")).to_have_text(served.state.condition.sentence)
        page.evaluate(AXE)
        found = page.evaluate("axe.run(document)")
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []


@pytest.mark.parametrize("width", [360, 768])
def test_a_narrow_page_does_not_scroll_sideways(open_page: Open, served: PageServer, width: int) -> None:
    served.show(state(2, condition={**STALLED, "command": "pintally accept-loss " + "engagement.closeup.v1:3 " * 4}))
    page = open_page(served.url, width=width)
    wait_shown(page)
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_all_is_reached_by_keyboard(open_page: Open, served: PageServer) -> None:
    served.show(state(2, condition=STALLED))
    page = open_page(served.url, width=360)
    wait_shown(page)
    page.locator("#command").wait_for()
    names = []
    for _ in range(14):
        page.keyboard.press("Tab")
        names.append(page.evaluate(FOCUSED))
    assert names[:4] == ["skip", "copy", "h-sources", "counted"], names
    assert {"SUMMARY", "h-top", "h-letters", "h-workers"} <= set(names)
    region = page.locator("[aria-labelledby=h-sources][role=group]")
    region.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('[role=group][aria-labelledby=h-sources]').scrollLeft > 0")


def test_the_chart_draws_under_the_strict_policy_and_follows_the_choice(open_page: Open, served: PageServer) -> None:
    page = open_page(served.url)
    wait_shown(page)
    for number in range(2, 5):
        served.show(state(number, now=time.time() + number))
    canvas = page.locator("#outcomes-chart canvas")
    expect(canvas).to_be_visible()
    painted = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(value => value)"
    wait_for(lambda: canvas.evaluate(painted), 30, "something on the canvas")
    page.locator("#choice label", has_text="late").click()
    expect(page.locator("#outcomes-chart")).to_have_attribute("aria-label", re.compile("^late a second by topic"))
    expect(page.locator("#choice label", has_text="counted").locator("b")).to_have_text("3,840")
