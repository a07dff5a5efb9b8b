"""What is known at a cut, sealed."""

from pintally.streams.settings import Settings
from tests.sinks.sealed_cuts import HOUR, TEN, counted, known, published, sealed
from tests.sinks.sealing import YESTERDAY
from tests.support.cells import cells

NOON = YESTERDAY + 12 * HOUR


def arrivals(count: int = 5) -> list[tuple[int, ...]]:
    """Cells of pins 1 to 3 that arrive within an hour after their minute."""
    rows = []
    for i in range(count * 20):
        minute = NOON + i * 240
        late = (i * 37 % 60) * 60
        arrived = (minute + late) // TEN * TEN
        rows.append((1, i, arrived, i % 3 + 1, minute, i % 7 + 1, i % 5 + 1, 10 + i))
    return rows


def test_a_reader_of_any_cut_adds_up_the_cells_that_arrived_before_it(stack: Settings) -> None:
    address = stack.clickhouse
    until = NOON + 10 * HOUR
    cuts = sealed(address, cells(*arrivals()), until=until)
    assert cuts == list(range(cuts[0], until + 1, TEN))
    assert published(address) == cuts
    for cut in cuts:
        assert known(address, cut) == counted(address, cut), cut
