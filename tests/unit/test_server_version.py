"""Servers that are too old are refused by name; migrations are readable for those that are not."""

import pytest

from pintally.sinks.clickhouse.migrate import MIGRATIONS
from pintally.sinks.clickhouse.older_servers import readable
from pintally.sinks.clickhouse.server_version import LOWEST, ClickHouseTooOld, refuse_old


@pytest.mark.parametrize("version", [(21, 3, 1), (24, 8, 4), (25, 7, 9)])
def test_an_old_server_is_named_with_its_version_and_the_one_needed(version: tuple[int, int, int]) -> None:
    with pytest.raises(ClickHouseTooOld) as refused:
        refuse_old("clickhouse:9000/pintally", version)
    assert f"clickhouse:9000/pintally has version {version[0]}.{version[1]}.{version[2]}" in refused.value.what
    assert "older than 25.8" in refused.value.what
    assert refused.value.remedy.startswith("Upgrade it to 25.8 or newer")


@pytest.mark.parametrize("version", [(*LOWEST, 0), (25, 10, 1), (26, 7, 2), (30, 1, 1)])
def test_a_server_that_is_new_enough_is_taken(version: tuple[int, int, int]) -> None:
    refuse_old("clickhouse:9000/pintally", version)


def test_a_subquery_before_a_comment_has_an_alias_and_nothing_else_is_changed() -> None:
    view = "CREATE VIEW v AS SELECT a FROM\n(\n    SELECT (1) AS a\n)\nCOMMENT 'it''s one';\n"
    assert readable(view) == view.replace("\n)\nCOMMENT", "\n) AS these\nCOMMENT")
    table = "CREATE TABLE t (a UInt8)\nENGINE = MergeTree\nORDER BY (a)\nCOMMENT 'one';\n"
    assert readable(table) == table


def test_no_migration_leaves_a_comment_after_a_parenthesis_that_older_servers_would_misread() -> None:
    changed = [path.name for path in sorted(MIGRATIONS.glob("*.sql")) if readable(path.read_text()) != path.read_text()]
    assert changed, "if none is left, sinks/clickhouse/older_servers.py can go"
    for path in MIGRATIONS.glob("*.sql"):
        assert "\n)\nCOMMENT" not in readable(path.read_text())
