"""Which rows the tables may have deleted by age, by the clock of ClickHouse: other clocks may be wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pintally.audit.clickhouse import ClickHouse

DAY: Final = 86_400
KEPT: Final = """
SELECT toUnixTimestamp(now()) AS now, groupArray(name) AS tables, groupArray(days) AS kept
FROM
(
    SELECT name, toUInt32OrZero(extract(engine_full, 'TTL .*toIntervalDay\\\\((\\\\d+)\\\\)')) AS days
    FROM system.tables WHERE database = currentDatabase() AND name IN {tables:Array(String)}
)
WHERE days > 0"""


@dataclass(frozen=True, slots=True)
class Kept:
    """How long some tables keep rows."""

    now: int  # seconds since 1970
    days: Mapping[str, int]  # of a table; one that keeps all is not named

    def since(self, table: str) -> int:
        """The start (seconds) of what a table has for certain; it deletes by age, and may do so a day earlier."""
        days = self.days.get(table)
        return 0 if days is None else self.now - (days - 1) * DAY

    @property
    def whole_days_since(self) -> int:
        """The start (seconds) of the first day of which none of the tables has deleted rows."""
        return max(0, (self.now // DAY - min(self.days.values()) + 2) * DAY) if self.days else 0


def read_kept(clickhouse: ClickHouse, *tables: str) -> Kept:
    """As it is now, of these tables: describing each takes ClickHouse a while. Raises CannotTell."""
    [row] = clickhouse.rows(KEPT, tables=list(tables))
    return Kept(int(row["now"]), dict(zip(row["tables"], row["kept"], strict=True)))
