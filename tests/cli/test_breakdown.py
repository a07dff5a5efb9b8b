"""`pintally breakdown`: where a pin was acted on, as tables and as JSON."""

import json
import time
from typing import Any

from typer.testing import CliRunner

from pintally import cli
from pintally.schemas.cells import CellRows
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings
from tests.sinks.sealing import HOUR, write
from tests.support.cells import cells

HOSTILE = "[red]home\x1b[2J"


def of(start: int, surface: str, platform: str, events: int, trusted: int, action: int = 1) -> CellRows:
    return cells((1, start // HOUR, start, action, start, 7, events, 10, surface, platform, trusted))


def run(settings: Settings, *options: str) -> Any:
    ended = CliRunner().invoke(cli.app, ["breakdown", *options], env=settings.environment(), catch_exceptions=False)
    return json.loads(ended.stdout) if "--json" in options else ended.output


def filled(address: ClickHouseAddress) -> None:
    """Two sealed hours, one of them opened again, and the current one."""
    now = int(time.time()) // HOUR * HOUR
    write(address, of(now - 30 * HOUR, "email", "ios", 50, 50))
    write(address, of(now - 4 * HOUR, "home", "ios", 5, 4))
    write(address, of(now - 3 * HOUR, "home", "web", 6, 6, action=2))
    seal(address, now - 2 * HOUR)
    write(address, of(now - 3 * HOUR, "search", "web", 1, 1))
    write(address, of(now, HOSTILE, "web", 20, 2))


def test_hours_that_are_sealed_open_and_new_add_up_by_each_label(stack: Settings) -> None:
    filled(stack.clickhouse)
    shown = run(stack, "7", "--json")
    nothing = {"saves": 0, "clicks": 0, "closeups": 0}
    assert shown["surface"] == [
        {"label": HOSTILE, **nothing, "saves": 20, "trusted": 2},
        {"label": "home", **nothing, "saves": 5, "clicks": 6, "trusted": 10},
        {"label": "search", **nothing, "saves": 1, "trusted": 1},
    ]
    assert shown["platform"] == [
        {"label": "web", **nothing, "saves": 21, "clicks": 6, "trusted": 9},
        {"label": "ios", **nothing, "saves": 5, "trusted": 4},
    ]
    assert [each["label"] for each in run(stack, "7", "--hours", "2", "--json")["surface"]] == [HOSTILE]
    assert "email" in [each["label"] for each in run(stack, "7", "--hours", "48", "--json")["surface"]]


def test_tables_show_labels_and_no_label_controls_the_terminal(stack: Settings) -> None:
    filled(stack.clickhouse)
    said = run(stack, "7")
    lines = [line.split() for line in said.splitlines()]
    assert ["surface", "saves", "clicks", "close-ups", "trusted"] in lines
    assert ["home", "5", "6", "0", "10"] in lines
    assert ["[red]home\\x1b[2J", "20", "0", "0", "2"] in lines
    assert "\x1b[2J" not in said
    assert "has no events since" in run(stack, "8")
