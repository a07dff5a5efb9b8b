"""The rows of `sealed`, and their totals against the roll-ups that they name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.contract import COLUMNS, KINDS, TRUSTED
from pintally.audit.findings import Finding, Kind
from pintally.audit.words import utc

DAY = 86_400
STATED = ("pins", *COLUMNS, *TRUSTED, "breakdown_sum", "experiment_sum")
WEIGHT = 1_000_003  # of what is trusted, in check sums
PRINT = " + ".join(
    f"cityHash64(pin_id, toUInt8({number}), cityHash64(toUInt8(dimension), label))"
    f" * ({column} + {WEIGHT} * trusted_{column})"
    for number, _, column in KINDS
)
ARMS = " + ".join(
    f"cityHash64(experiment, arm, toUInt8({number}), bucket) * ({column} + {WEIGHT} * trusted_{column})"
    for number, _, column in KINDS
)
SUMS = (  # of rows of the roll-ups, of rows of their breakdowns, of arms in them
    ", ".join(["count() AS pins", *(f"sum({name}) AS {name}" for name in (*COLUMNS, *TRUSTED))]),
    f"sum({PRINT}) AS breakdown_sum",
    f"sum({ARMS}) AS experiment_sum",
)
SEALED = f"""
SELECT resolution, toUInt32(window_start) AS window, seal, {", ".join(STATED)}
FROM sealed FINAL WHERE NOT is_open AND window_start >= toDateTime({{oldest:UInt32}}, 'UTC')
ORDER BY resolution, window"""
TOTALS = """
SELECT toUInt32(window_start) AS window, {sums}
FROM {table}
WHERE window_start >= toDateTime({{first:UInt32}}, 'UTC') AND window_start < toDateTime({{end:UInt32}}, 'UTC')
    AND has({{seals:Array(Tuple(UInt32, UInt64))}}, (toUInt32(window_start), seal))
GROUP BY window_start"""


@dataclass(frozen=True, slots=True)
class Window:
    """A sealed window, and the totals in its row of `sealed`."""

    resolution: str
    start: int  # seconds since 1970
    seal: int
    totals: dict[str, int]  # by the names in STATED

    @property
    def has_labels(self) -> bool:
        """Whether it has rows of breakdowns. If not, readers take them from cells, or from the roll-up as unknown."""
        return self.totals["breakdown_sum"] != 0


def read_sealed(clickhouse: ClickHouse, oldest: int) -> list[Window]:
    """The windows that are sealed and not open, from `oldest` (seconds since 1970) on."""
    return [
        Window(row["resolution"], row["window"], row["seal"], {name: row[name] for name in STATED})
        for row in clickhouse.rows(SEALED, oldest=oldest)
    ]


def check_totals(clickhouse: ClickHouse, tables: Sequence[str], first: int, windows: list[Window]) -> Iterator[Finding]:
    """Compare the totals of the windows of a day with a roll-up, its breakdowns and, of hours, arms of experiments."""
    seals = [(window.start, window.seal) for window in windows]
    summed: dict[int, dict[str, int]] = {}
    for table, sums in zip(tables, SUMS, strict=False):
        sql = TOTALS.format(table=table, sums=sums)
        for row in clickhouse.rows(sql, first=first, end=first + DAY, seals=seals):
            summed.setdefault(row["window"], {}).update(row)
    for window in windows:
        for name, found in window.totals.items():
            expected = summed.get(window.start, {}).get(name, 0)
            if found != expected:
                about = f"{window.resolution} {name}"
                yield Finding(Kind.ROLLUP_DIFFERS, "sealed", found, expected, about, minute=utc(window.start))
