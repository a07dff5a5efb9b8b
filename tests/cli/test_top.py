"""`pintally top`: which windows it shows, in words and as JSON, and which options do not go together."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from pintally import cli
from pintally.cli.top_options import RECENT
from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.per_action import COUNTED
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.reads.ranking import RANKINGS
from pintally.sinks.reads.windows import FOREVER, Recent
from tests.sinks.known import TEN, Fact, cells_of, truth
from tests.sinks.sealed_cuts import sealed
from tests.sinks.sealing import DAY, HOUR, YESTERDAY, read, write
from tests.support.engines import TestEngines, tables

CUT = YESTERDAY + 16 * HOUR
TIMES = range(CUT - 4 * HOUR, CUT + TEN, 2 * TEN)
FACTS = [
    Fact(at, at, pin, action, 1 + (at // TEN + pin * action) % 7, pin % 2)
    for at in TIMES
    for pin in range(1, 9)
    for action in Action
]
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def address(engines: TestEngines) -> Iterator[ClickHouseAddress]:
    with tables(engines.addresses) as made:
        sealed(made, cells_of(FACTS), until=CUT)
        seal(made, CUT - 2 * HOUR)
        yield made


@pytest.fixture(scope="module")
def unsealed(engines: TestEngines) -> Iterator[ClickHouseAddress]:
    with tables(engines.addresses) as made:
        write(made, cells_of(FACTS))
        yield made


@pytest.fixture
def run(address: ClickHouseAddress) -> Run:
    return lambda *options: run_on(address, *options)


def run_on(address: ClickHouseAddress, *options: str) -> Any:
    """What the command prints, or the document that it prints. Raises what it raises."""
    environment = {
        f"PINTALLY_CLICKHOUSE_{name.upper()}": str(getattr(address, name))
        for name in ("host", "port", "user", "database")
    }
    environment["PINTALLY_CLICKHOUSE_PASSWORD"] = address.password.get_secret_value()
    ended = CliRunner().invoke(cli.app, ["top", *options], env=environment, catch_exceptions=False)
    return json.loads(ended.stdout) if "--json" in options else ended.output


def expected(cut: int, start: int, end: int, by: str, k: int) -> list[dict[str, object]]:
    return [
        {"pin_id": str(pin), **dict(zip(COUNTED, counts, strict=True))}
        for pin, counts in truth(FACTS, cut, start, end, RANKINGS[by], k)
    ]


def at(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def test_the_windows_of_the_command_are_those_that_are_read() -> None:
    assert tuple(RECENT) == tuple(Recent)


@pytest.mark.parametrize(
    ("name", "start"),
    [("today", YESTERDAY), ("24h", CUT - DAY), ("1h", CUT - HOUR), ("10m", CUT - TEN)],
)
@pytest.mark.parametrize("by", ["clicks", "trusted", "trusted_saves"])
def test_a_window_that_moves_is_shown_as_known_at_the_newest_cut(run: Run, name: str, start: int, by: str) -> None:
    shown = run("--window", name, "--by", by, "-n", "3", "--json")
    assert (shown["window"], shown["window_start"], shown["as_of"], shown["live"]) == (name, at(start), at(CUT), False)
    assert shown["pins"] == expected(CUT, start, FOREVER, by, 3)


def test_without_options_it_is_the_last_hour(run: Run) -> None:
    lines = run().splitlines()
    said = f"from {at(CUT - HOUR)[:16].replace('T', ' ')} UTC, as known at {at(CUT)[:16].replace('T', ' ')} UTC"
    assert lines[0] == f"Top pins of the last hour, {said}"
    assert [line.split()[0] for line in lines[2:]] == [
        pin["pin_id"] for pin in expected(CUT, CUT - HOUR, FOREVER, "all", 10)
    ]


def test_before_the_first_cut_counts_up_to_the_last_flush_are_shown(unsealed: ClickHouseAddress) -> None:
    shown = run_on(unsealed, "--window", "24h", "--json")
    assert (shown["as_of"], shown["live"]) == (None, True)
    assert "No cut is published yet" in run_on(unsealed, "-w", "24h") or not shown["pins"]
    assert "no cut was published by then" in run_on(unsealed, "--as-of", "2026-01-01")


def test_an_hour_and_a_day_are_shown_from_lists_once_they_are_complete_and_from_the_views_before(run: Run) -> None:
    complete, running = CUT - 3 * HOUR, CUT - HOUR
    for start, final in ((complete, True), (running, False)):
        shown = run("-w", at(start)[:16], "-n", "3", "--json")
        pins = expected(FOREVER, start, start + HOUR, "all", 3)
        assert shown["pins"] == [{**pin, "is_final": final} for pin in pins]
        assert ("certified" in shown) == final
    for by in ("saves", "trusted_saves", "trusted"):
        day = run("-w", at(YESTERDAY)[:10], "-r", "1d", "--by", by, "-n", "3", "--json")
        assert day["pins"] == [
            {**pin, "is_final": False} for pin in expected(FOREVER, YESTERDAY, YESTERDAY + DAY, by, 3)
        ]


def test_a_past_window_as_of_a_moment_is_what_was_known_then(run: Run, address: ClickHouseAddress) -> None:
    cut = CUT - 2 * HOUR
    published = read(address, f"SELECT published_at FROM cuts WHERE cut = toDateTime({cut}, 'UTC')")[0][0]
    shown = run("-w", at(YESTERDAY)[:10], "-r", "1d", "--as-of", published.isoformat(), "-n", "3", "--json")
    known = {
        row[0]
        for row in read(
            address,
            "SELECT toUnixTimestamp(cut) FROM cuts WHERE published_at <= "
            f"toDateTime64('{published:%Y-%m-%d %H:%M:%S.%f}', 3, 'UTC')",
        )
    }
    assert shown["as_of"] == at(max(known))
    assert [{**pin, "is_final": False} for pin in expected(max(known), YESTERDAY, YESTERDAY + DAY, "all", 3)] == shown[
        "pins"
    ]


def test_the_newest_minute_is_shown_to_the_last_flush(run: Run) -> None:
    shown = run("-r", "1m", "-n", "2", "--json")
    assert shown["window_start"] == at(TIMES[-1])
    assert shown["pins"] == [{**pin, "is_final": False} for pin in expected(FOREVER, TIMES[-1], FOREVER, "all", 2)]


def test_trending_pins_are_those_of_the_view(run: Run, address: ClickHouseAddress) -> None:
    rows = read(address, "SELECT pin_id, trend_1h FROM pin_trending ORDER BY place")
    assert [(int(pin["pin_id"]), pin["trend_1h"]) for pin in run("--by", "trend", "--json")["pins"]] == rows
    assert rows == read(address, "SELECT pin_id, trend_1h FROM pin_features_latest ORDER BY trend_1h DESC, pin_id")
    assert "trend" in run("--by", "trend")


@pytest.mark.parametrize(
    "options",
    [
        ("--live", "--as-of", "2026-11-21"),
        ("--live", "--window", "2026-11-21"),
        ("--live", "--resolution", "1h"),
        ("--by", "trend", "--window", "24h"),
        ("--by", "trend", "--live"),
        ("--window", "today", "--resolution", "1d"),
        ("--as-of", "2026-11-21", "--resolution", "1m", "--window", "2026-11-20T10:01"),
        ("--as-of", "2026-11-21", "--resolution", "1h"),
        ("--window", "2026-11-21T14:05"),
        ("--window", "noon"),
        ("--as-of", "noon"),
        ("--as-of", "2099-01-01"),
        ("--as-of", "0001-01-01T00:00+05:00"),
        ("--window", "9999-12-31", "--resolution", "1d"),
    ],
)
def test_options_that_do_not_go_together_are_refused_with_a_remedy(run: Run, options: tuple[str, ...]) -> None:
    with pytest.raises(PintallyError) as refused:
        run(*options)
    assert refused.value.remedy
