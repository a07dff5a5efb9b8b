"""Controls of what is read from Kafka. They act on a real consumer: for real workers, not for the simulation."""

from collections.abc import Iterator
from typing import Any

from pintally.streams.kafka.fetching.consumer import ChunkedConsumer
from pintally.streams.worker import transport
from tests.controls.counting import no_chain_check
from tests.controls.switch import control, replaced


def _consumer_with(**changed: Any) -> tuple[Any, str, Any]:
    def made(*args: Any, **arguments: Any) -> ChunkedConsumer:
        return ChunkedConsumer(*args, **(arguments | changed))

    return transport, "ChunkedConsumer", made


@control
def offset_reset_earliest() -> Iterator[None]:
    """C1: where the offset to read is gone reading goes on at the log's start, and whatever comes is folded."""
    with no_chain_check(), replaced(_consumer_with(auto_offset_reset="earliest")):
        yield


@control
def read_uncommitted() -> Iterator[None]:
    """C1: records of open and aborted transactions are read too."""
    with replaced(_consumer_with(isolation_level="read_uncommitted")):
        yield
