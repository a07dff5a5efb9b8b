"""Cuts, and from which of them on an hour or a day is complete. Pure, but for `read_cuts`. Times in seconds since 1970.

Every hour before `hours_until` of a cut is complete at it (docs/decisions/0017-features-as-of-a-cut.md). A(H), the cut
at which hour H became complete, decides about each cell of H: what arrived before A(H) is in the row of the hour, what
arrived later is a correction.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pintally.schemas.rules import ARRIVAL_BUCKET_MS
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.reopen import DAY, HOUR

BUCKET = ARRIVAL_BUCKET_MS // 1000
# Of two rows of one cut, which only sealers under different rules write at the same moment, the first holds. Tables of
# features keep 90 days.
READ = """
SELECT toUnixTimestamp(min(cut)), hours_until FROM
(
    SELECT cut, toUnixTimestamp(argMin(c.hours_until, (c.published_at, c.seal))) AS hours_until
    FROM cuts AS c WHERE cut >= toStartOfDay(now('UTC')) - INTERVAL 100 DAY
    GROUP BY cut
)
GROUP BY hours_until ORDER BY hours_until
"""
NEWEST = "SELECT toUnixTimestamp(max(cut)) FROM cuts"


@dataclass(frozen=True, slots=True)
class Cuts:
    """The cuts that are published."""

    newest: int = 0  # 0 if there is none
    steps: tuple[tuple[int, int], ...] = ()  # (first cut with it, hours_until), ascending

    @property
    def hours_until(self) -> int:
        """Every hour before it is complete at the newest cut."""
        return self.steps[-1][1] if self.steps else 0

    def complete_at(self, hour: int) -> int | None:
        """A(H): the cut at which an hour became complete; None if it did not."""
        place = bisect_right(self.steps, hour, key=lambda step: step[1])
        return self.steps[place][0] if place < len(self.steps) else None

    def hours_until_at(self, moment: int) -> int:
        """Every hour before it was complete at a moment."""
        place = bisect_right(self.steps, moment, key=lambda step: step[0])
        return self.steps[place - 1][1] if place else 0

    def after(self, batch: "Batch") -> "Cuts":
        """The cuts once a batch is published too."""
        steps = list(self.steps)
        for each in batch.cuts:
            if not steps or each.hours_until > steps[-1][1]:
                steps.append((each.cut, each.hours_until))
        return Cuts(batch.cuts[-1].cut, tuple(steps))


@dataclass(frozen=True, slots=True)
class Cut:
    """One cut to come."""

    cut: int
    hours_until: int

    @property
    def bucket(self) -> int:
        """The arrival bucket that ends at it."""
        return self.cut - BUCKET


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive cuts that are published at once: one, or several whose buckets are empty."""

    cuts: tuple[Cut, ...]
    before: Cuts
    has_cells: bool

    @property
    def buckets(self) -> tuple[int, ...]:
        """The arrival buckets that end at them."""
        return tuple(each.bucket for each in self.cuts)

    @property
    def complete(self) -> tuple[int, int]:
        """The hours in [start, end) become complete at one of them."""
        return self.before.hours_until, self.cuts[-1].hours_until

    @property
    def day(self) -> int:
        """The day of `hours_until`, to which readers of the first of them need a base."""
        return self.cuts[0].hours_until // DAY * DAY

    @property
    def needs_base(self) -> bool:
        """Whether no reader of an earlier cut needed that one."""
        return self.day > self.before.hours_until // DAY * DAY


def read_cuts(connection: Connection) -> Cuts:
    """The published cuts of the last 100 days, and the newest of all."""
    return Cuts(int(connection.one(NEWEST)[0]), tuple(connection.rows(READ)))


def lateness_of(seconds: int) -> int:
    """How long after its end an hour becomes complete: at least an hour, a multiple of ten minutes."""
    return max(HOUR, -(-seconds // BUCKET) * BUCKET)


def batches(cuts: Cuts, first: int, until: int, lateness: int, filled: Iterable[int]) -> Iterator[Batch]:
    """The cuts from `first` to `until` in order. `filled`: buckets with cells, each of which is a batch of its own.

    A batch of empty ones ends before a cut whose readers need another base.
    """
    full, batch = set(filled), list[Cut]()
    for cut in range(first, until + 1, BUCKET):
        hours_until = max((batch[-1].hours_until if batch else cuts.hours_until), (cut - lateness) // HOUR * HOUR, 0)
        each = Cut(cut, hours_until)
        new_day = bool(batch) and hours_until // DAY > batch[-1].hours_until // DAY
        if batch and (new_day or each.bucket in full or batch[-1].bucket in full):
            whole = Batch(tuple(batch), cuts, batch[-1].bucket in full)
            yield whole
            cuts, batch = cuts.after(whole), []
        batch.append(each)
    if batch:
        yield Batch(tuple(batch), cuts, batch[-1].bucket in full)
