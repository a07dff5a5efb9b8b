"""What transport.py, table.py, fetch.py and heartbeats.py assume of Faust and aiokafka: an upgrade fails here first."""

import asyncio
import inspect
from contextlib import nullcontext
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any
from weakref import ref

import faust
import pytest
from aiokafka.consumer import fetcher, group_coordinator, subscription_state
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from pintally.streams.settings import Settings
from pintally.streams.worker import transport
from pintally.streams.worker.app import CountingApp, create_app
from pintally.streams.worker.table import CellTable, Refold, SourceTables
from pintally.streams.worker.transport import ChunkConsumer, ChunkConsumerThread, ChunkSchema
from tests.support.memory_sink import MemorySink

OVERRIDDEN = [
    (ChunkConsumerThread, driver.AIOKafkaConsumerThread, "_create_worker_consumer"),
    (ChunkConsumerThread, driver.AIOKafkaConsumerThread, "_fetch_records"),
    (ChunkConsumerThread, driver.AIOKafkaConsumerThread, "commit"),
    (ChunkConsumerThread, driver.AIOKafkaConsumerThread, "highwater"),
    (ChunkConsumerThread, driver.AIOKafkaConsumerThread, "on_start"),
    (ChunkConsumer, driver.Consumer, "_new_consumer_thread"),
    (ChunkConsumer, driver.Consumer, "_to_message"),
    (ChunkConsumer, driver.Consumer, "ack"),
    (ChunkConsumer, driver.Consumer, "_add_gap"),
    (ChunkConsumer, driver.Consumer, "_filter_tps_with_pending_acks"),
    (ChunkConsumer, driver.Consumer, "_filter_committable_offsets"),
    (ChunkConsumer, driver.Consumer, "perform_seek"),
    (SourceTables, TableManager, "_update_channels"),
    (SourceTables, TableManager, "on_start"),
    (SourceTables, TableManager, "add"),
    (Refold, Recovery, "on_recovery_completed"),
    (CountingApp, faust.App, "_new_transport"),
    (CountingApp, faust.App, "on_stop"),
    (CellTable, faust.Table, "__init__"),
    (ChunkSchema, faust.Schema, "compile"),
]

CALLED = [
    (driver.AIOKafkaConsumerThread, "call_thread", ["self", "fun", "args", "kwargs"]),
    (driver.Consumer, "seek_wait", ["self", "partitions"]),
    (driver.Producer, "_ensure_producer", ["self"]),
    (Recovery, "_wait", ["self", "coro", "timeout"]),
    (fetcher.Fetcher, "_create_fetch_waiter", ["self"]),
    (fetcher.Fetcher, "_notify", ["self", "future"]),
    (fetcher.FetchResult, "check_assignment", ["self", "tp"]),
    (fetcher.FetchResult, "_update_position", ["self"]),
    (fetcher.FetchError, "check_raise", ["self"]),
    (fetcher.PartitionRecords, "_consume_aborted_up_to", ["self", "batch_offset"]),
    (fetcher.PartitionRecords, "_contains_abort_marker", ["self", "next_batch"]),
    (group_coordinator.GroupCoordinator, "_do_heartbeat", ["self"]),
    (
        group_coordinator.GroupCoordinator,
        "_on_join_complete",
        ["self", "generation", "member_id", "protocol", "member_assignment_bytes"],
    ),
    (subscription_state.SubscriptionState, "fetch_context", ["self"]),
]


def names(owner: type, method: str) -> list[str]:
    return list(inspect.signature(getattr(owner, method)).parameters)


def test_faust_is_the_version_whose_internals_were_read() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


@pytest.mark.parametrize(("ours", "theirs", "method"), OVERRIDDEN, ids=lambda value: getattr(value, "__name__", value))
def test_what_we_override_takes_what_faust_passes(ours: type, theirs: type, method: str) -> None:
    assert method in vars(ours), "no longer overridden: drop the line"
    required = [name for name in names(theirs, method) if name not in ("default_propagate",)]
    accepted = names(ours, method)
    assert set(required) <= set(accepted) or "kwargs" in accepted


@pytest.mark.parametrize(("owner", "method", "parameters"), CALLED, ids=lambda value: getattr(value, "__name__", None))
def test_what_we_call_still_takes_what_we_pass(owner: type, method: str, parameters: list[str]) -> None:
    assert names(owner, method) == parameters


def test_faust_still_reads_offsets_and_messages_where_we_replace_them() -> None:
    drain = inspect.getsource(driver.Consumer._drain_messages)
    assert "self._read_offset.__getitem__" in drain
    assert "records_it = self.scheduler.iterate(records)" in inspect.getsource(driver.Consumer.getmany)
    assert all(hasattr(driver.Consumer, name) for name in ("_waiting_for_ack", "_commit_tps", "wait_empty"))


def test_faust_recovers_through_the_manager_and_starts_flow_only_after_our_seek() -> None:
    completed = inspect.getsource(Recovery.on_recovery_completed)
    assert completed.index("perform_seek") < completed.index("consumer.resume_flow()")
    assert "self._recovery" in inspect.getsource(TableManager.recovery.fget)  # type: ignore[attr-defined]


def test_the_end_of_a_log_that_a_rebalance_has_just_taken_away_is_unknown_and_no_error() -> None:
    """The fold still flushes then; aiokafka's own method fails an assertion, which ended the worker."""
    assigned: set[TP] = set()
    consumer = SimpleNamespace(
        _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=SimpleNamespace(tps=assigned)))
    )
    thread = ChunkConsumerThread.__new__(ChunkConsumerThread)
    thread._consumer = consumer
    assert thread.highwater(TP("saves", 0)) is None
    assert thread.fetch_position(TP("saves", 0)) is None


def test_what_an_open_transaction_holds_back_is_not_behind() -> None:
    """Else a slice of such records, or more, kept what was counted before them from being shown until it ended."""
    tp = TP("saves", 0)
    state = SimpleNamespace(highwater=300_010, lso=10)
    assigned = SimpleNamespace(tps={tp}, state_value={tp: state}.get)
    thread = ChunkConsumerThread.__new__(ChunkConsumerThread)
    thread._consumer = SimpleNamespace(_subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assigned)))
    assert thread.highwater(tp) == 10


def test_a_chunk_that_faust_has_taken_is_not_kept_by_the_answer_it_came_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust's method queue keeps the answers to its last two calls."""

    class Taken:
        pass

    async def fetched(*_: object) -> dict[TP, list[Taken]]:
        return {TP("saves", number): [Taken()] for number in range(3)}

    monkeypatch.setattr(transport, "fetched_chunks", fetched)
    fetcher = SimpleNamespace(_closed=False, _subscriptions=SimpleNamespace(fetch_context=nullcontext))
    consumer: Any = SimpleNamespace(_closed=False, _fetcher=fetcher)
    thread: Any = ChunkConsumerThread.__new__(ChunkConsumerThread)
    thread.consumer = SimpleNamespace(flow_active=True)
    answer = asyncio.run(thread._fetch_records(consumer, set()))
    delivered = [ref(chunk) for _, chunk in DefaultSchedulingStrategy().iterate(answer)]
    assert [chunk() for chunk in delivered] == [None] * 3
    assert len(answer) == 3


def test_a_partition_with_a_backlog_fills_a_fetch_alone() -> None:
    """Else its records would wait for those of others, fetch after fetch."""
    app = create_app(Settings.of(None), MemorySink())
    assert app.conf.consumer_max_fetch_size >= transport.FETCH_MIN_BYTES
