"""An epoch of a source has one set of rules, whoever begins it at once, and whenever an insert arrives (C12)."""

from collections.abc import Sequence

from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rows import StartRow
from pintally.sinks.base import SinkSession

NO_ROWS = (2**32 - 1, 0)  # a block that no slice has: the rows of slices are not asked for


def claim(session: SinkSession, rows: Sequence[StartRow]) -> None:
    """Claim the epochs of start rows for their rules, before anything of these epochs is written.

    1. The claims are durable.
    2. They are read back, after a barrier. Of two who claim an epoch for different rules the later one sees both
       claims. So at most one of them goes on, and whoever comes later finds the claim of a process that is gone.

    Raises SinkUnavailable if an epoch is claimed for other rules too. It is not used then, and the next look at the
    ledger says so.
    """
    if not rows:
        return
    session.write_claims(rows)
    sources = list(dict.fromkeys(row.source for row in rows))
    ledgers = session.read_ledgers(sources, dict.fromkeys(sources, NO_ROWS))
    for row in rows:
        if row.epoch <= ledgers[row.source].disputed:
            raise SinkUnavailable(
                f"somebody else began epoch {row.epoch} of {row.source} at the same time, with other rules",
                "Run it again, when nothing else begins or changes the source.",
            )
