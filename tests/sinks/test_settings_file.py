"""docs/clickhouse-settings.toml classifies every setting of this engine; what it calls pinned is pinned."""

import tomllib
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pintally.audit import pins as audit
from pintally.sinks.clickhouse import pins
from pintally.sinks.clickhouse.connection import Connection
from pintally.streams.settings import Settings

FILE = tomllib.loads((Path(__file__).parents[2] / "docs" / "clickhouse-settings.toml").read_text(encoding="utf-8"))
PINNED: Mapping[str, Mapping[str, str]] = FILE["pinned"]


def unclassified(names: Collection[str], named: Collection[str], kinds: list[dict[str, Any]]) -> list[str]:
    """Settings that nobody has looked at: of no kind, or of one that has become larger."""
    of_kind: dict[int, list[str]] = {number: [] for number in range(len(kinds))}
    left: list[str] = []
    for name in sorted(set(names) - set(named)):
        found = [n for n, kind in enumerate(kinds) if any(fnmatchcase(name, each) for each in kind["patterns"])]
        (of_kind[found[0]] if found else left).append(name)
    for number, members in of_kind.items():
        if len(members) > kinds[number]["known"]:
            left.append(f"one of these is new: {' '.join(members)}")
    return left


def test_every_setting_of_this_engine_is_classified(settings: Settings) -> None:
    with Connection(settings.clickhouse, 30, database="") as connection:
        names = [row[0] for row in connection.rows("SELECT name FROM system.settings WHERE NOT is_obsolete")]
    named = [name for group in (*PINNED.values(), FILE["named"]) for name in group]
    assert len(names) > 1000
    assert len(named) == len(set(named))
    assert unclassified(names, named, FILE["kinds"]) == []


def test_every_setting_of_tables_is_classified(settings: Settings) -> None:
    with Connection(settings.clickhouse, 30, database="") as connection:
        names = [row[0] for row in connection.rows("SELECT name FROM system.merge_tree_settings")]
    tables = FILE["tables"]
    assert unclassified(names, [*tables["set"], *tables["named"]], tables["kinds"]) == []


def test_a_setting_that_nobody_has_looked_at_is_found() -> None:
    kinds = [{"patterns": ["optimize_*"], "known": 1}]
    assert unclassified(["optimize_a"], [], kinds) == []
    assert unclassified(["optimize_a", "optimize_b"], [], kinds) != []
    assert unclassified(["guess_counts"], [], kinds) == ["guess_counts"]


def test_what_the_file_calls_pinned_is_what_the_connections_pin() -> None:
    assert list(PINNED["reads"]) == list(pins.READS)
    assert list(PINNED["writes"]) == list(pins.WRITES)
    assert {*PINNED["reads"], *PINNED["audit"]} == audit.NEEDED.keys()
    assert set(PINNED["if_allowed"]) == (pins.LIMITS.keys() | audit.WISHED.keys()) - {"readonly"}
    assert audit.NEEDED.items() >= pins.READS.items()


def test_every_pin_is_what_the_server_then_has(settings: Settings) -> None:
    with Connection(settings.clickhouse, 30, database="") as connection:
        sql = "SELECT name, value FROM system.settings WHERE name IN %(names)s"
        wanted = {**pins.READS, **pins.WRITES, **pins.LIMITS}
        assert dict(connection.rows(sql, names=list(wanted))) == wanted
