"""The lists of what is counted name the same aggregates, and the schema has their tables."""

import re

import numpy as np
import pytest

from pintally.audit.aggregates import AGGREGATES as AUDITED
from pintally.schemas.cells import CELL_TABLES, CellRows, PinMinuteRows, rows_of
from pintally.schemas.label_column import LabelColumn
from pintally.sinks.clickhouse.scripts import ONCE, script_of, statements
from pintally.streams.counting.aggregates import AGGREGATES
from tests.support.cells import NAMES, cells

TYPES = {
    "UInt8": np.uint8,
    "UInt32": np.uint32,
    "DateTime('UTC')": np.uint32,
    "UInt64": np.uint64,
    "LowCardinality(String)": LabelColumn,
}


def test_every_aggregate_has_a_table_and_a_recount() -> None:
    tables = [kind.table for kind in CELL_TABLES]
    assert [aggregate.rows.table for aggregate in AGGREGATES] == tables
    assert [aggregate.table for aggregate in AUDITED] == tables


@pytest.mark.parametrize("kind", CELL_TABLES)
def test_the_schema_has_its_columns_with_their_types(kind: type[CellRows]) -> None:
    created = [statement for name in ONCE for statement in statements(script_of(name))]
    (create,) = [each for each in created if each.startswith(f"CREATE TABLE IF NOT EXISTS {kind.table}\n")]
    columns = dict(re.findall(r"^    (\w+) ([\w()']+)", create, re.MULTILINE))
    assert {name: TYPES[columns[name]] for name in kind.columns()} == kind.columns()


def test_rows_of_one_aggregate_are_found_among_those_of_all() -> None:
    rows = cells((1, 0, 600, 1, 60, 7, 3, 9))
    assert rows_of(PinMinuteRows, [rows, rows]).tuples(NAMES) == rows.tuples(NAMES) * 2
    assert len(rows_of(PinMinuteRows, [])) == 0
