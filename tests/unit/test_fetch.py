"""A batch that is corrupt at each of some fetches is the log's, and a person's; corrupt once it is fetched again."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import TopicPartition

from pintally.streams.kafka.fetching import fetch
from pintally.streams.kafka.fetching.fetch import FETCHES, LogCorrupt

TP = TopicPartition("saves", 0)


def fetched(offset: int) -> Any:
    """A fetcher with one fetch, from this offset on."""
    records = SimpleNamespace(next_fetch_offset=offset)
    result = SimpleNamespace(check_assignment=lambda _: True, _partition_records=records, _update_position=lambda: None)
    return SimpleNamespace(
        _subscriptions=SimpleNamespace(reassignment_in_progress=False),
        _records={TP: result},
        _notify=lambda _: None,
        _wait_consume_future=None,
    )


@pytest.fixture
def corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(*_: Any) -> None:
        raise CorruptRecordException("wrong CRC")

    monkeypatch.setattr(fetch, "unpack", unpack)
    monkeypatch.setattr(fetch, "_corrupt", {})


@pytest.mark.usefixtures("corrupt")
def test_what_is_corrupt_at_every_fetch_is_for_a_person() -> None:
    """It was fetched again for ever, as fast as Kafka gave it, with a line each."""
    for _ in range(FETCHES - 1):
        assert fetch._take(fetched(7), {TP}) == {}
    with pytest.raises(LogCorrupt, match=r"saves\[0\] cannot be read from offset 7 on") as error:
        fetch._take(fetched(7), {TP})
    assert "accept-loss" in error.value.remedy


@pytest.mark.usefixtures("corrupt")
def test_other_places_are_counted_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    for offset in range(3 * FETCHES):
        fetch._take(fetched(offset), {TP})
    for _ in range(FETCHES - 2):
        fetch._take(fetched(99), {TP})
    monkeypatch.setattr(fetch, "unpack", lambda *_: "chunk")
    assert fetch._take(fetched(99), {TP}) == {TP: ["chunk"]}
    assert fetch._corrupt == {}
