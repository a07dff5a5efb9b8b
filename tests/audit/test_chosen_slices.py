"""However many slices are drawn: their rows are read whole, in the order of the log, and no others."""

from uuid import UUID

from pintally.audit.aggregates import AGGREGATES
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.flushed import Flushed
from pintally.audit.tables import Chosen, letters_of, read_cells, read_dead_letters
from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.audit_addresses import addresses_of
from pintally.streams.settings import Settings
from tests.sinks.sealing import YESTERDAY, write
from tests.support.cells import cells

SOURCE = Source("engagement.save.v1", UUID(int=7), 0)
FIRST = 10**11  # the offset of the first slice, one of a partition that has counted for long
SLICES = 14_000
DRAWN = [number for number in range(SLICES) if number % 2]


def test_thousands_of_drawn_slices_are_read_in_several_queries(stack: Settings) -> None:
    """ClickHouse takes 128 KiB of a parameter, which 5,000 slices do not fit into."""
    write(stack.clickhouse, cells(*((SOURCE.id, n, YESTERDAY, 1, YESTERDAY, 7, 1, n + 1) for n in range(SLICES))))
    letters = [DeadLetterRow(SOURCE, FIRST + n, 0, "invalid", "", None, None, ()) for n in range(SLICES)]
    with ClickHouseSink(stack.clickhouse).session() as session:
        session.write_dead_letters(letters)
    chosen = Chosen([(n, YESTERDAY) for n in DRAWN], [(FIRST + n, FIRST + n + 1) for n in DRAWN])
    flushed = Flushed(SOURCE.id, SOURCE.topic, SOURCE.topic_id, SOURCE.partition, (), ())
    with ClickHouse(addresses_of(stack)) as clickhouse:
        with read_cells(clickhouse, AGGREGATES[0], SOURCE.id, chosen) as found:
            assert [block for piece in found for block in piece["slice_block"].tolist()] == DRAWN
        with read_dead_letters(clickhouse, flushed, chosen) as found:
            assert [letter.offset - FIRST for letter in letters_of(found)] == DRAWN
