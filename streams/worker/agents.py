"""The three Faust agents: a chunk at a time into the cells of their action. The way of a record reads here."""

import logging
from typing import Any, Protocol

from pintally.sinks.base import Sink
from pintally.streams.counting.fold import ChunkRefused
from pintally.streams.counting.log import Chunk
from pintally.streams.settings import Settings
from pintally.streams.worker.backpressure import Backpressure
from pintally.streams.worker.counters import counters
from pintally.streams.worker.fatal import end_by
from pintally.streams.worker.table import CellTable

log = logging.getLogger(__name__)


class Worker(Protocol):
    """What an agent asks of the app it belongs to."""

    backpressure: Backpressure
    settings: Settings
    sink: Sink


def counting_agent(app: Worker, table: CellTable) -> Any:
    """An agent's body for one action.

    1. transport.py polled Kafka and delivers one chunk of one source.
    2. fold.py decodes it, gives each record its outcome and adds the counted ones to the table's cells.
    3. flush.py sends dirty cells to ClickHouse and records them in the ledger, about once a second.
    4. seal.py rolls final hours up. Readers see the views.
    """

    async def count(chunks: Any) -> None:
        async for chunk in chunks:
            await count_chunk(app, table, chunk)

    return count


async def count_chunk(app: Worker, table: CellTable, chunk: Chunk) -> None:
    """Fold one chunk; ask for a seek where one is missing; wait where the sink cannot keep up."""
    try:
        app.backpressure.folded(table.fold(chunk))
    except ChunkRefused as refused:
        ahead = chunk.start > refused.expected
        log.info(
            "%s[%d]: a chunk begins at offset %d instead of %d; it is %s",
            chunk.topic, chunk.partition, chunk.start, refused.expected, "fetched again" if ahead else "left out",
            extra={"topic": chunk.topic, "partition": chunk.partition, "offset": chunk.start, "end": chunk.end},
        )  # fmt: skip
        counters.add("chunks_ahead" if ahead else "chunks_repeated")
        if ahead:
            await app.backpressure.seek_again(chunk.topic, chunk.partition)
    except Exception as error:  # Faust would restart the agent and go on without this chunk
        end_by(app, error, f"counting {chunk.topic}[{chunk.partition}] from offset {chunk.start} on")
        raise
