"""What a worker looks up when it is assigned a source, while others still count it."""

from uuid import UUID

import pytest

from schemas.fates import Fates
from schemas.rows import LedgerRow, StartRow
from schemas.rules import Rules
from schemas.sources import Source
from sinks.memory import MemorySink
from streams import assignment
from streams.settings import Settings
from streams.topics import Offsets, TopicInfo

SOURCE = Source("engagement.save.v1", UUID(int=1), 0)
TOPIC = TopicInfo(SOURCE.topic, SOURCE.topic_id, 1, "LogAppendTime", 2**63 - 1, 2**63 - 1, "delete")


def test_a_log_that_another_worker_counts_meanwhile_is_not_taken_for_a_truncated_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The former owner finishes its last tick, and producers go on, while the new one looks up where to begin."""
    sink, ends = MemorySink(), iter(range(10, 1000, 10))
    rules = Rules()

    def others_go_on() -> int:
        end = next(ends)
        row = LedgerRow(SOURCE, 0, 600, 0, 0, end, 600_000, Fates(end), end, 0, rules.fingerprint)
        with sink.session() as session:
            session.write_ledger([row])
        return end

    def read_offsets(_: Settings, sources: list[Source]) -> dict[Source, Offsets]:
        end = others_go_on()
        return {source: Offsets(0, end, end) for source in sources}

    class BusySink(MemorySink):
        def open_session(self):  # type: ignore[no-untyped-def]
            others_go_on()
            return sink.open_session()

    with sink.session() as session:
        session.write_starts([StartRow(SOURCE, 0, 0, 0, rules.to_json())])
    monkeypatch.setattr(assignment, "describe_topics", lambda _: {SOURCE.topic: TOPIC})
    monkeypatch.setattr(assignment, "read_offsets", read_offsets)
    (assigned,) = assignment.look_up(Settings(_env_file=None), BusySink(), [(SOURCE.topic, 0)])
    assert assigned.chain.start == 0
