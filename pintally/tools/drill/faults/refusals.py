"""ClickHouse runs, and takes no inserts."""

import time

from pintally.tools.drill.stage import Stage, bit, fault

TABLES = ("pin_minutes", "ingest_ledger")  # cells refused; or cells taken and the ledger refused
REFUSED_SECONDS = 60.0
EXABYTE = 10**18


@fault("disk-full", "ClickHouse refused an insert with code 243, NOT_ENOUGH_SPACE")
def disk_full(stage: Stage) -> str:
    """ClickHouse has no disk space left for inserts."""
    return _refuse(stage, "min_free_disk_bytes_to_perform_insert", EXABYTE, "refused_disk")


@fault("too-many-parts", "ClickHouse refused an insert with code 252, TOO_MANY_PARTS")
def too_many_parts(stage: Stage) -> str:
    """ClickHouse refuses inserts because merges cannot keep up."""
    return _refuse(stage, "parts_to_throw_insert", 1, "refused_parts")


@fault("read-only", "ClickHouse refused an insert with code 774, TABLE_IS_READ_ONLY")
def read_only(stage: Stage) -> str:
    """A table of ClickHouse is read-only."""
    return _refuse(stage, "table_readonly", 1, "refused_readonly")


def _refuse(stage: Stage, setting: str, value: int, refused: str) -> str:
    table, before = stage.rng.choice(TABLES), stage.tally.count(refused)
    stage.probe.alter(f"ALTER TABLE {table} MODIFY SETTING {setting} = {value}")
    try:
        shown = stage.tally.wait(refused, before, REFUSED_SECONDS)
        time.sleep(stage.session * stage.rng.random())
    finally:
        stage.probe.alter(f"ALTER TABLE {table} RESET SETTING {setting}")
    bit(shown, f"no insert into {table} was refused")
    return f"{table}: {stage.tally.count(refused) - before} flushes refused and merged back"
