"""What we use of the inside of Faust and aiokafka is there, and is what we take it for: an upgrade fails here first."""

import ast
import asyncio
import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import ref

import aiokafka
import faust
import pytest
from aiokafka import client, conn
from aiokafka.consumer import consumer, fetcher, group_coordinator, subscription_state
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.producer import producer, sender
from aiokafka.protocol import group
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from pintally.streams.kafka.fetching.connection import Connection
from pintally.streams.kafka.fetching.consumer import (
    ChunkedClient,
    ChunkedConsumer,
    ChunkedFetcher,
    PatientClient,
    PatientProducer,
    with_classes,
)
from pintally.streams.kafka.fetching.coordinator import ObservedCoordinator
from pintally.streams.settings import Settings
from pintally.streams.worker import transport
from pintally.streams.worker.app import CountingApp, create_app
from pintally.streams.worker.runner import CountingWorker
from pintally.streams.worker.table import CellTable, Refold, SourceTables
from pintally.streams.worker.transport import ChunkConsumer, ChunkConsumerThread, ChunkSchema
from tests.support.memory_sink import MemorySink

STREAMS = Path(__file__).parents[2] / "streams"
DOOR = STREAMS / "kafka" / "fetching"

# Functions of aiokafka that run with classes of ours, the classes, and the modules that they name them in.
WITH_CLASSES = [
    (consumer, consumer.AIOKafkaConsumer.__init__, ["AIOKafkaClient"]),
    (consumer, consumer.AIOKafkaConsumer.start, ["Fetcher", "GroupCoordinator"]),
    (producer, producer.AIOKafkaProducer.__init__, ["AIOKafkaClient"]),
    (client, client.AIOKafkaClient._get_conn, ["create_conn"]),
    (conn, conn.create_conn, ["AIOKafkaConnection"]),
    (fetcher, fetcher.Fetcher._proc_fetch_request, ["MemoryRecords"]),
]

# Private names of aiokafka that `streams/kafka/fetching` uses, by the class that has them.
USED = {
    client.AIOKafkaClient: ["_get_conn", "_metadata_update", "_sync_task"],
    conn.AIOKafkaConnection: [
        "_create_reader_task", "_handle_frame", "_last_action", "_protocol", "_read", "_requests", "_writer",
    ],
    consumer.AIOKafkaConsumer: ["_client", "_closed", "_coordinator", "_fetcher", "_subscription"],
    fetcher.Fetcher: [
        "_client", "_closed", "_create_fetch_waiter", "_fetch_task", "_get_actions_per_node", "_notify",
        "_proc_fetch_request", "_records", "_select_read_replica", "_subscriptions", "_wait_consume_future",
    ],
    fetcher.FetchResult: ["_partition_records", "_update_position"],
    fetcher.PartitionRecords: ["_aborted_producers", "_consume_aborted_up_to", "_records", "_records_iterator"],
    group_coordinator.GroupCoordinator: [
        "_coordination_task", "_do_heartbeat", "_group_instance_id", "_on_join_complete", "_push_error_to_user",
        "_send_req",
    ],
    group.JoinGroupRequest: ["_member_id"],
    producer.AIOKafkaProducer: ["_sender"],
    sender.Sender: ["_sender_task"],
    subscription_state.SubscriptionState: ["_last_fetch_ended"],
}  # fmt: skip

# Private names of Faust and mode that `streams/worker` uses without overriding them.
USED_OF_FAUST = {
    driver.AIOKafkaConsumerThread: ["_ensure_consumer"],
    driver.Consumer: ["_committed_offset", "_read_offset", "_thread", "_unacked_messages", "_waiting_for_ack"],
    driver.Producer: ["_ensure_producer"],
    faust.App: ["_crashed"],
    faust.Worker: ["_flag_as_shutdown_by_signal", "_schedule_shutdown"],
    Recovery: ["_wait"],
    TableManager: ["_recovery", "_tables_finalized", "_tables_registered"],
}

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
    (CountingApp, faust.App, "_create_directories"),
    (CountingWorker, faust.Worker, "_stop_on_signal"),
    (CountingApp, faust.App, "on_stop"),
    (CellTable, faust.Table, "__init__"),
    (ChunkSchema, faust.Schema, "compile"),
    (Connection, conn.AIOKafkaConnection, "_create_reader_task"),
    (Connection, conn.AIOKafkaConnection, "_read"),
    (Connection, conn.AIOKafkaConnection, "_handle_frame"),
    (ChunkedConsumer, consumer.AIOKafkaConsumer, "start"),
    (PatientClient, client.AIOKafkaClient, "_metadata_update"),
    (ChunkedClient, client.AIOKafkaClient, "send"),
    (ChunkedFetcher, fetcher.Fetcher, "_get_actions_per_node"),
    (ChunkedFetcher, fetcher.Fetcher, "_proc_fetch_request"),
    (ObservedCoordinator, group_coordinator.GroupCoordinator, "_do_heartbeat"),
    (ObservedCoordinator, group_coordinator.GroupCoordinator, "_on_join_complete"),
    (ObservedCoordinator, group_coordinator.GroupCoordinator, "_push_error_to_user"),
    (ObservedCoordinator, group_coordinator.GroupCoordinator, "_send_req"),
    (ObservedCoordinator, group_coordinator.GroupCoordinator, "reset_generation"),
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
    assert set(required) <= set(accepted) or {"args", "kwargs"} & set(accepted) or len(required) == len(accepted)


@pytest.mark.parametrize(("owner", "method", "parameters"), CALLED, ids=lambda value: getattr(value, "__name__", None))
def test_what_we_call_still_takes_what_we_pass(owner: type, method: str, parameters: list[str]) -> None:
    assert names(owner, method) == parameters


@pytest.mark.parametrize(("module", "function", "classes"), WITH_CLASSES)
def test_aiokafka_makes_by_name_what_we_have_it_make_of_ours(module: Any, function: Any, classes: list[str]) -> None:
    code = function.__code__
    assert set(classes) <= set(code.co_names) & set(vars(module))
    assert code.co_freevars == ()  # what it closes over would be lost


def test_a_function_with_other_classes_takes_the_same_arguments_and_is_otherwise_the_same() -> None:
    other = with_classes(consumer.AIOKafkaConsumer.__init__, AIOKafkaClient=object)
    assert inspect.signature(other) == inspect.signature(consumer.AIOKafkaConsumer.__init__)
    assert other.__globals__["AIOKafkaClient"] is object
    assert vars(consumer)["AIOKafkaClient"] is client.AIOKafkaClient


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for used in (USED, USED_OF_FAUST) for owner, names in used.items() for name in names],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_each_private_name_that_we_use_is_there(owner: type, name: str) -> None:
    sources = [inspect.getsource(sys.modules[base.__module__]) for base in owner.__mro__ if base is not object]
    assert hasattr(owner, name) or any(f"self.{name} =" in source or f"self.{name}:" in source for source in sources)


def test_all_private_names_of_aiokafka_that_we_use_are_in_the_list() -> None:
    foreign = {name for path in DOOR.glob("*.py") for name, _ in private_names(path)}
    assert foreign & names_of_aiokafka() == {name for names in USED.values() for name in names}


def test_no_other_folder_uses_private_names_of_aiokafka() -> None:
    found = {
        (path.relative_to(STREAMS).as_posix(), name)
        for path in STREAMS.rglob("*.py")
        if path.parent != DOOR
        for name, of_another in private_names(path)
        if of_another
    }
    assert {(path, name) for path, name in found if name in names_of_aiokafka()} == set()


def private_names(path: Path) -> Iterator[tuple[str, bool]]:
    """The private attributes that a file uses, and whether of an object that is not `self`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            yield node.attr, not (isinstance(node.value, ast.Name) and node.value.id == "self")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("_"):
            yield node.name, False


def names_of_aiokafka() -> set[str]:
    """The private attributes that aiokafka's own code uses."""
    folder = Path(aiokafka.__file__).parent
    return {name for path in folder.rglob("*.py") for name, _ in private_names(path) if not name.startswith("__")}


CHANGES = """
import importlib, pkgutil, sys, types
import aiokafka

def modules(package):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)

def snapshot():
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("aiokafka", "faust", "mode"):
            for key, value in list(vars(module).items()):
                yield (name, key), id(value)
                if isinstance(value, type) and value.__module__ == name:
                    yield from (((name, key, each), id(inside)) for each, inside in list(vars(value).items()))

import faust, faust.transport.drivers.aiokafka, faust.tables.recovery
list(modules(aiokafka))
before = dict(snapshot())
import pintally.streams
list(modules(pintally.streams))
from pintally.streams.settings import Settings
from pintally.streams.worker.app import create_app
app = create_app(Settings.of(None), object())

async def made():
    app.consumer._thread._create_worker_consumer(app.transport)._closed = True

import asyncio
asyncio.run(made())
after = dict(snapshot())
IGNORED = {"__warningregistry__", "__annotations__", "__annotations_cache__", "_abc_impl"}
changed = sorted(key for key in before if after.get(key) != before[key] and not IGNORED & set(key))
print(changed)
"""


def test_nothing_in_aiokafka_or_faust_is_changed_by_our_modules_nor_by_a_consumer_of_ours() -> None:
    done = subprocess.run([sys.executable, "-c", CHANGES], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_faust_makes_the_producer_that_does_not_ask_for_metadata_again_and_again() -> None:
    assert "self._producer_type(" in inspect.getsource(driver.Producer._new_producer)
    assert create_app(Settings.of(None), MemorySink()).producer._producer_type is PatientProducer


def test_faust_still_reads_offsets_and_messages_where_we_replace_them() -> None:
    drain = inspect.getsource(driver.Consumer._drain_messages)
    assert "self._read_offset.__getitem__" in drain
    assert "records_it = self.scheduler.iterate(records)" in inspect.getsource(driver.Consumer.getmany)
    assert all(hasattr(driver.Consumer, name) for name in ("_waiting_for_ack", "_commit_tps", "wait_empty"))


def test_faust_recovers_through_the_manager_and_starts_flow_only_after_our_seek() -> None:
    completed = inspect.getsource(Recovery.on_recovery_completed)
    assert completed.index("perform_seek") < completed.index("consumer.resume_flow()")
    assert "self._recovery" in inspect.getsource(TableManager.recovery.fget)


def knowing(tps: set[TP], **state: int) -> ChunkedConsumer:
    """A consumer of these partitions, each of which is in this state."""
    assignment = SimpleNamespace(tps=tps, state_value=lambda _: SimpleNamespace(**state))
    made = ChunkedConsumer.__new__(ChunkedConsumer)
    made._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
    return made


def test_the_end_of_a_log_that_a_rebalance_has_just_taken_away_is_unknown_and_no_error() -> None:
    """The fold still flushes then; aiokafka's own method fails an assertion, which ended the worker."""
    thread = ChunkConsumerThread.__new__(ChunkConsumerThread)
    thread._consumer = knowing(set())
    assert thread.highwater(TP("saves", 0)) is None
    assert thread.chunked.fetch_position(TP("saves", 0)) is None


def test_what_an_open_transaction_holds_back_is_not_behind() -> None:
    """Else a slice of such records, or more, kept what was counted before them from being shown until it ended."""
    tp = TP("saves", 0)
    thread = ChunkConsumerThread.__new__(ChunkConsumerThread)
    thread._consumer = knowing({tp}, highwater=300_010, lso=10)
    assert thread.highwater(tp) == 10


def test_a_chunk_that_faust_has_taken_is_not_kept_by_the_answer_it_came_in() -> None:
    """Faust's method queue keeps the answers to its last two calls."""

    class Taken:
        pass

    async def fetched(*_: object) -> dict[TP, Taken]:
        return {TP("saves", number): Taken() for number in range(3)}

    consumer: Any = SimpleNamespace(chunks=fetched)
    thread: Any = ChunkConsumerThread.__new__(ChunkConsumerThread)
    thread.consumer = SimpleNamespace(flow_active=True)
    answer = asyncio.run(thread._fetch_records(consumer, set()))
    delivered = [ref(chunk) for _, chunk in DefaultSchedulingStrategy().iterate(answer)]
    assert [chunk() for chunk in delivered] == [None] * 3
    assert len(answer) == 3


def test_a_partition_with_a_backlog_fills_a_fetch_alone() -> None:
    """Else its records would wait for those of others, fetch after fetch."""
    assert transport.CHUNK_BYTES >= transport.FETCH_MIN_BYTES


def test_the_consumer_asks_as_the_worker_must() -> None:
    """By its public arguments: read_committed, sticky, no position of its own making, a session as it is set."""
    app = create_app(Settings.of(None, session_timeout_seconds=7.0), MemorySink())

    async def made() -> ChunkedConsumer:
        consumer: ChunkedConsumer = app.consumer._thread._create_worker_consumer(app.transport)
        return consumer

    made_consumer = asyncio.run(made())
    made_consumer._closed = True  # it was never started
    app.consumer._thread.thread_loop.close()
    asked = vars(made_consumer)
    assert asked["_isolation_level"] == "read_committed"
    assert asked["_partition_assignment_strategy"] == (StickyPartitionAssignor,)
    assert (asked["_auto_offset_reset"], asked["_enable_auto_commit"]) == ("none", False)
    assert (asked["_session_timeout_ms"], asked["_request_timeout_ms"]) == (7_000, 21_000)
    assert asked["_heartbeat_interval_ms"] == 250  # all wait for the last member that hears of a rebalance
