"""docs/tables.md says what is so."""

import re
from pathlib import Path

from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings
from tests.sinks.sealing import TODAY, read, some_cells, write

DOC = Path(__file__).parents[2] / "docs" / "tables.md"


def test_every_query_in_the_doc_runs(stack: Settings) -> None:
    write(stack.clickhouse, some_cells())
    seal(stack.clickhouse, TODAY)
    queries = re.findall(r"```sql\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert len(queries) == DOC.read_text(encoding="utf-8").count("```sql") > 0
    for query in queries:
        read(stack.clickhouse, query)
