"""The scripts of tables and views, filled in."""

import re

import pytest

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.scripts import (
    ONCE,
    PARTS,
    REPEATABLE,
    SCHEMA,
    added_columns,
    script_of,
    statements,
    views_of_readers,
)

TABLES = script_of("001_tables.sql")


def test_every_file_is_applied() -> None:
    assert {path.name for path in SCHEMA.iterdir() if path.is_file()} == {*ONCE, *REPEATABLE}
    assert {path.stem for path in (SCHEMA / "parts").iterdir()} == set(PARTS)


PARAMETERS = {  # of views
    "{as_of:DateTime64(3, 'UTC')}", "{experiment:String}", "{since:DateTime('UTC')}", "{until:DateTime('UTC')}"
}  # fmt: skip


@pytest.mark.parametrize("name", [*ONCE, *REPEATABLE])
def test_each_statement_makes_one_thing_and_nothing_is_left_to_fill_in(name: str) -> None:
    made = statements(script_of(name))
    assert len(made) == len(re.findall("^CREATE ", script_of(name), re.MULTILINE))
    assert all(re.match(r"CREATE (TABLE IF NOT EXISTS|OR REPLACE VIEW) \w+\n\(\n", each) for each in made)
    assert set(re.findall(r"\{\w+[^}]*\}", "".join(made))) <= PARAMETERS


@pytest.mark.parametrize("name", [*ONCE, *REPEATABLE])
def test_no_subquery_stands_before_a_comment_without_an_alias(name: str) -> None:
    """Servers before ClickHouse 26.7 take COMMENT for the alias, and the text behind it for an error."""
    assert "\n)\nCOMMENT" not in script_of(name)


def test_readers_read_no_view_of_what_must_not_be_counted() -> None:
    assert {"seal_state", "pin_engagement_1m"} < set(views_of_readers())
    assert not any("superseded" in name or "letters" in name for name in views_of_readers())


def test_an_action_has_its_column_in_each_roll_up_and_its_sum_in_each_view() -> None:
    few, all_ = ("".join(statements(TABLES, actions)) for actions in ([Action.SAVE, Action.CLICK], Action))
    assert (few.count("    closeups UInt64"), all_.count("    closeups UInt64")) == (0, 6)
    assert (few.count("trusted_closeups UInt64"), all_.count("trusted_closeups UInt64")) == (0, 6)
    assert "saves + clicks > 0" in "".join(statements(script_of("views.sql"), [Action.SAVE, Action.CLICK]))


def test_rates_are_of_each_action_but_close_ups() -> None:
    few, all_ = (statements(script_of("features.sql"), actions) for actions in ([Action.SAVE, Action.CLOSEUP], Action))
    rates = [set(re.findall(r"\w+_rate_24h", "".join(made))) for made in (few, all_)]
    assert rates == [{"save_rate_24h"}, {"save_rate_24h", "click_rate_24h"}]


def test_columns_are_added_where_a_table_lacks_them_and_nowhere_else() -> None:
    actions = ("saves", "clicks", "closeups")
    there = {(table, f"trusted_{action}") for table in ("pin_hours", "sealed") for action in actions}
    there |= {("pin_hours", "saves"), ("pin_hours", "clicks"), ("sealed", "clicks"), ("sealed", "closeups")}
    there -= {("sealed", "trusted_clicks")}
    assert list(added_columns(TABLES, there)) == [
        "ALTER TABLE pin_hours ADD COLUMN IF NOT EXISTS closeups UInt64 COMMENT 'Close-ups in the hour' "
        "CODEC(T64, LZ4)",
        "ALTER TABLE sealed ADD COLUMN IF NOT EXISTS saves UInt64 COMMENT 'Sum of saves in the roll-up'",
        "ALTER TABLE sealed ADD COLUMN IF NOT EXISTS trusted_clicks UInt64 "
        "COMMENT 'Sum of trusted clicks in the roll-up'",
    ]


def test_sums_of_days_are_columns_of_an_action_too() -> None:
    there = {("pin_base", column) for column in ("saves_7d", "saves_30d", "clicks_7d", "clicks_30d", "closeups_7d")}
    there |= {
        ("pin_base", f"trusted_{action}_{days}") for action in ("saves", "clicks", "closeups") for days in ("7d", "30d")
    }
    there -= {("pin_base", "trusted_clicks_7d")}
    added = list(added_columns(script_of("002_features.sql"), there))
    assert [each.split(" COMMENT")[0] for each in added] == [
        "ALTER TABLE pin_base ADD COLUMN IF NOT EXISTS trusted_clicks_7d UInt64",
        "ALTER TABLE pin_base ADD COLUMN IF NOT EXISTS closeups_30d UInt64",
    ]
