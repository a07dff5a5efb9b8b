"""docs/tables.md says what is so, and README asks what can be asked."""

import re
from pathlib import Path
from typing import Any

import pytest

from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings
from tests.sinks.sealing import TODAY, read, some_cells, write
from tests.support.readme import README

DOC = Path(__file__).parents[2] / "docs" / "tables.md"

EARLIER = "INSERT INTO cuts (cut, hours_until, published_at, seal) SELECT cut, hours_until, cut, seal FROM cuts"


def test_every_query_in_the_doc_runs(stack: Settings) -> None:
    write(stack.clickhouse, some_cells())
    seal(stack.clickhouse, TODAY)
    queries = re.findall(r"```sql\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert len(queries) == DOC.read_text(encoding="utf-8").count("```sql") > 0
    lines = re.findall(r"```sql\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    short = [query for block in lines for query in block.splitlines()]
    for view in ("pin_breakdown_1", "pin_users_1", "flagged_users_1h", "experiment_results"):
        assert all(any(view in query for query in some) for some in (queries, short)), f"the doc and README ask {view}"
    for query in (*queries, *short):
        read(stack.clickhouse, query)


def test_the_python_in_the_doc_runs(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    write(stack.clickhouse, some_cells())
    seal_cuts(stack.clickhouse, TODAY, 3600)
    read(stack.clickhouse, EARLIER)
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    [example] = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, Any] = {}
    exec(example, found)
    assert list(found["online"].columns) == ["pin_id", "saves_24h", "save_rate_24h", "as_of", "published_at"]
    assert found["training"]["saved"].tolist() == [1, 0]
    assert len(found["online"]) == 2
    assert {"surface", "saves", "trusted_saves"} <= set(found["surfaces"].columns)
    assert {"window_start", "pin_id", "saves"} <= set(found["hours"].columns) & set(found["best"].columns)
