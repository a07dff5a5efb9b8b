"""The sources of docs/examples/dbt, made from the schema's comments: `make readme` writes them, a test compares."""

import json
from collections.abc import Iterator
from typing import Final

from pintally.sinks.clickhouse.dictionary import Described, tables, views
from tests.support.dictionary import PART
from tests.support.examples import EXAMPLES

PAGE = EXAMPLES / "dbt" / "models" / "sources.yml"
HEAD = """# Written by `make readme` from the comments in sinks/clickhouse/schema.
sources:
  - name: pintally
    description: Exact engagement counts of pins, and features as they were known at any moment.
    schema: "{{ var('pintally_database', env_var('PINTALLY_CLICKHOUSE_DATABASE', 'pintally')) }}"
    tables:"""
FRESH = """        config:
          loaded_at_field: published_at
          freshness:
            warn_after: {count: 25, period: minute}
            error_after: {count: 60, period: minute}"""
KEYS: Final = {
    "pin_engagement_1m": ("window_start", "pin_id"),
    "pin_engagement_1h": ("window_start", "pin_id"),
    "pin_engagement_1d": ("window_start", "pin_id"),
    "pin_breakdown_1h": ("window_start", "pin_id", "dimension", "label"),
    "pin_breakdown_1d": ("window_start", "pin_id", "dimension", "label"),
    "pin_features_latest": ("pin_id",),
    "data_status": ("data",),
}
WHERE = "window_start >= toStartOfDay(now('UTC')) - INTERVAL {{ var('pintally_days') }} DAY"


def page() -> str:
    """The whole file. Views with parameters are no sources: the macro `pin_features` names them."""
    shown = [each for each in views().values() if not each.comment.startswith(PART) and not each.parameters]
    return "\n".join([HEAD, *(line for each in (*shown, tables()["cuts"]) for line in source(each))]) + "\n"


def source(of: Described) -> Iterator[str]:
    """One table of the source."""
    yield f"      - name: {of.name}"
    yield f"        description: {json.dumps(of.comment)}"
    if of.name == "cuts":
        yield FRESH
    if keys := KEYS.get(of.name):
        yield "        data_tests:"
        yield "          - unique_together:"
        yield f"              arguments: {{columns: [{', '.join(keys)}]}}"
        if "window_start" in keys:
            yield f"              config: {{where: {json.dumps(WHERE)}}}"
    yield "        columns:"
    for each in of.columns:
        yield f"          - name: {each.name}"
        yield f"            description: {json.dumps(each.comment)}"
        yield f"            data_type: {json.dumps(each.type)}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
