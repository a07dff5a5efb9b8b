"""The text of tables and views: on one server as before, on replicas each with its engine, its path and its cluster."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.sinks.clickhouse.layout import ONE_SERVER, Layout
from pintally.sinks.clickhouse.migrate import APPLIED
from pintally.sinks.clickhouse.scripts import ONCE, REPEATABLE, added_columns, script_of, statements
from pintally.sinks.clickhouse.shards import TABLE
from pintally.sinks.clickhouse.users import User
from pintally.sinks.clickhouse.users import statements as statements_of_user

SCRIPTS = {**{name: script_of(name) for name in (*ONCE, *REPEATABLE)}, "schema_files": APPLIED, "shard_numbers": TABLE}
REPLICAS = Layout("counts", "pintally")
ENGINE = re.compile(r"^ENGINE = (\w+)(?:\((.*)\))?$", re.MULTILINE)


@pytest.mark.parametrize("name", SCRIPTS)
def test_on_one_server_the_text_is_the_script_without_its_marks(name: str) -> None:
    bare = SCRIPTS[name].replace("{on_cluster}", "").replace("{family}", "")
    assert "Replicated" not in bare
    assert statements(SCRIPTS[name]) == statements(bare)
    assert statements(SCRIPTS[name], layout=ONE_SERVER) == statements(bare)


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_statement_is_made_on_the_whole_cluster(name: str) -> None:
    made = statements(SCRIPTS[name], layout=REPLICAS)
    assert len(made) == len(statements(SCRIPTS[name]))
    for statement in made:
        assert re.match(r"CREATE (TABLE IF NOT EXISTS|OR REPLACE VIEW) \w+ ON CLUSTER `counts`\n\(\n", statement)
        assert statement.count("ON CLUSTER") == 1


def tables() -> list[tuple[str, str, str]]:
    """Name, text on one server and text on replicas of every table that there is."""
    found = []
    for script in SCRIPTS.values():
        for plain, replicated in zip(statements(script), statements(script, layout=REPLICAS), strict=True):
            if table := re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", plain):
                found.append((table[1], plain, replicated))
    return found


def test_every_table_is_there_once() -> None:
    names = [name for name, *_ in tables()]
    assert len(names) == len(set(names)) > 30
    assert {"pin_minutes", "ingest_ledger", "seal_numbers", "schema_files", "shard_numbers"} <= set(names)


@pytest.mark.parametrize(("name", "plain", "replicated"), tables())
def test_a_table_keeps_its_kind_of_engine_and_has_its_own_path(name: str, plain: str, replicated: str) -> None:
    [(kind, version)], [(family, arguments)] = ENGINE.findall(plain), ENGINE.findall(replicated)
    assert kind in {"MergeTree", "ReplacingMergeTree"}
    assert family == f"Replicated{kind}"
    path = f"'/clickhouse/tables/{{shard}}/pintally/{name}', '{{replica}}'"
    assert arguments == (f"{path}, {version}" if version else path)


@pytest.mark.parametrize(("name", "plain", "replicated"), tables())
def test_a_table_says_what_replicas_need_and_all_that_it_said_before(name: str, plain: str, replicated: str) -> None:
    [before], [after] = (
        re.findall(r"^SETTINGS (.*?)(?=^COMMENT)", text, re.MULTILINE | re.DOTALL) for text in (plain, replicated)
    )
    needed = "min_compressed_bytes_to_fsync_after_fetch = 1, replicated_deduplication_window = 0, "
    assert after == needed + before, name
    assert "fsync_after_insert = 1" in before


@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_else_differs(name: str) -> None:
    """What was added, taken away again, leaves the text of one server."""
    for plain, made in zip(statements(SCRIPTS[name]), statements(SCRIPTS[name], layout=REPLICAS), strict=True):
        bare = made.replace(" ON CLUSTER `counts`", "", 1)
        bare = re.sub(
            r"^ENGINE = Replicated(\w+)\('[^']*', '\{replica\}'(?:, (\w+))?\)$", _plain, bare, flags=re.MULTILINE
        )
        bare = re.sub(r"^SETTINGS min_\w+_fetch = 1, \w+ = 0, ", "SETTINGS ", bare, count=1, flags=re.MULTILINE)
        assert bare == plain


def _plain(engine: re.Match[str]) -> str:
    return f"ENGINE = {engine[1]}" + (f"({engine[2]})" if engine[2] else "")


@given(st.from_regex(r"[\w.-]+", fullmatch=True), st.text(min_size=1))
def test_no_name_of_a_database_ends_the_path(cluster: str, database: str) -> None:
    layout = Layout(cluster, database)
    [made] = statements(TABLE, layout=layout)
    [path] = re.findall(r"MergeTree\('((?:[^'\\]|\\.)*)', '\{replica\}'\)\n", made, re.DOTALL)
    assert re.sub(r"\\(.)", r"\1", path, flags=re.DOTALL) == f"/clickhouse/tables/{{shard}}/{database}/shard_numbers"


def test_columns_that_come_later_are_added_on_the_whole_cluster() -> None:
    there = {("sealed", "saves")}
    plain = list(added_columns(SCRIPTS["001_tables.sql"], there))
    on_all = list(added_columns(SCRIPTS["001_tables.sql"], there, REPLICAS))
    assert plain
    assert on_all == [
        each.replace("ALTER TABLE sealed ", "ALTER TABLE sealed ON CLUSTER `counts` ", 1) for each in plain
    ]


def test_users_are_made_on_the_whole_cluster_and_on_one_server_as_before() -> None:
    user = User("pintally_worker", ("SELECT ON `a`.*", "INSERT ON `a`.b"), "00ff")
    plain = list(statements_of_user(user))
    assert plain == [
        "CREATE USER IF NOT EXISTS pintally_worker IDENTIFIED WITH sha256_hash BY '00ff'",
        "ALTER USER pintally_worker IDENTIFIED WITH sha256_hash BY '00ff'",
        "GRANT SELECT ON `a`.*,\n    INSERT ON `a`.b\n    TO pintally_worker WITH REPLACE OPTION",
    ]
    everywhere = list(statements_of_user(user, layout=REPLICAS))
    assert [each.replace(" ON CLUSTER `counts`", "") for each in everywhere] == plain
    assert all(each.count(" ON CLUSTER `counts`") == 1 for each in everywhere)
    assert everywhere[2].startswith("GRANT ON")
