"""Recounts only the slices of a source that were drawn, and compares each with its rows.

The ids that matter to a slice are those of two blocks or buckets, so the slices before it are read too. Behind it one
more record is read: it must begin the next slice.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pintally.audit.chain import RulesEpoch
from pintally.audit.compare import Judge
from pintally.audit.contract import ACTIONS
from pintally.audit.errors import CannotTellNow
from pintally.audit.findings import Finding, Kind
from pintally.audit.flushed import LedgerRow
from pintally.audit.log import Log, Partition
from pintally.audit.places import beginning, usable
from pintally.audit.recount import Recount, recounted
from pintally.audit.sampling import Run, runs_of
from pintally.audit.slices import Slice
from pintally.audit.source_audit import SourceAudit, extra_row
from pintally.audit.tables import Chosen


class SampledAudit(SourceAudit):
    """Like SourceAudit, of the slices that start at `drawn`. It does not look for rows of slices that have no row."""

    def __init__(self, drawn: Sequence[int], *given: Any) -> None:
        super().__init__(*given)
        rows = list(self.ledger.values())
        wanted = set(drawn)
        chosen = sorted((row for row in rows if row.start in wanted), key=lambda row: row.start)
        self.chosen = Chosen([row.key for row in chosen], [(row.start, row.position) for row in chosen])
        self.runs = [
            (epoch, run) for epoch in self.epochs for run in runs_of([row for row in rows if epoch.holds(row)], drawn)
        ]

    def _recount_all(self, log: Log, partition: Partition, target: int) -> None:
        for epoch, run in self.runs:
            self._run(log, epoch, partition, run, target)

    def _run(self, log: Log, epoch: RulesEpoch, partition: Partition, run: Run, target: int) -> None:
        places = [place for place in usable(self.places, self.flushed, epoch) if place.offset <= run.start]
        place = beginning(places, partition.start, epoch.rules.slice_records, run.start, run.start + 1)
        if place is None:
            raise CannotTellNow(
                f"{self.flushed}: Kafka has just deleted records before offset {run.start}, which a drawn slice needs",
                "Run `pintally verify` again.",
            )
        if self.report.checked_from is None:
            self.report.checked_from = run.start
        judge = self._judge(epoch)
        recount = Recount(ACTIONS[self.action], epoch.rules, place.collect, run.start, self.user_keys)
        end = run.end + 1 if run.is_followed else min(target, epoch.end or target)
        left = list(run.rows)
        self.letters.skip_before(run.start)
        for slice_ in recounted(log, partition, recount, end, self.progress):
            if not left or slice_.start >= run.end:
                break
            slice_.complete = slice_.complete or slice_.end == epoch.end
            if slice_.start == epoch.start:
                self._check_start(judge, epoch, slice_)
            self._compare_drawn(judge, slice_, left, is_last=not run.is_followed and len(left) == 1)
        for row in left:
            self.report.findings.add(extra_row(judge, row))

    def _compare_drawn(self, judge: Judge, slice_: Slice, left: list[LedgerRow], *, is_last: bool) -> None:
        """Compare a slice with its row, the first that is left; another slice than the rows name is a finding."""
        row = left[0]
        if row.key != slice_.key or row.start != slice_.start:
            return
        left.pop(0)
        self._compare(judge, slice_)
        if not is_last and slice_.end != row.position:
            about = Finding(Kind.LEDGER_DIFFERS, judge.source, row.position, slice_.end, "position")
            name = f"{row.slice_block}/{row.arrived_at}"
            self.report.findings.add(replace(about, slice=name, start=slice_.start, end=slice_.end))
