"""docs/data-dictionary.md says what the schema's comments say, and ClickHouse shows the same."""

import pytest

from pintally.sinks.clickhouse.dictionary import Described, tables, views
from pintally.sinks.clickhouse.scripts import tables as written
from pintally.sinks.clickhouse.scripts import views_of_readers
from pintally.streams.settings import Settings
from tests.sinks.sealing import read
from tests.support.dictionary import PAGE, page

ALL = {**views(), **tables()}


def test_the_page_is_that_of_the_schema() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make readme`"


def test_every_view_and_table_is_described() -> None:
    assert tuple(views()) == views_of_readers()
    assert tuple(tables()) == written()


@pytest.mark.parametrize("of", ALL.values(), ids=lambda of: of.name)
def test_each_of_its_columns_has_a_comment(of: Described) -> None:
    assert of.comment
    assert of.columns
    assert [each.name for each in of.columns if not each.comment] == []


def test_clickhouse_shows_the_same_columns_and_comments(stack: Settings) -> None:
    sql = "SELECT name, type, comment FROM system.columns WHERE database = currentDatabase() AND table = '{}'"
    listed = [of for of in ALL.values() if not of.parameters]  # ClickHouse lists no columns of a view with parameters
    for of in listed:
        shown = read(stack.clickhouse, sql.format(of.name) + " ORDER BY position")
        assert shown == [(each.name, each.type, each.comment) for each in of.columns], of.name
