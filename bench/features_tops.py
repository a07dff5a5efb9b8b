"""Top pins: how bench/features.py asks for them, what that may cost, and what the answers must equal."""

from dataclasses import dataclass
from functools import partial

from bench.asking import Limits, Question, Reader
from bench.engines import say
from bench.features_truth import FOREVER, check_tops
from bench.features_world import DAY, HOUR, World
from pintally.schemas.actions import Action
from pintally.sinks.reads.ranking import Ranking
from pintally.sinks.reads.tops import Top, read_top
from pintally.sinks.reads.windows import Recent, Window

TODAY_LIMITS, HOUR_LIMITS, PAST_LIMITS = Limits(60, 100), Limits(40, 60), Limits(40, 60)
TOP = 100


@dataclass(frozen=True, slots=True)
class TopQuestion:
    """A top, and the events that it is of."""

    name: str
    window: Recent | Window
    limits: Limits
    start: int
    end: int = FOREVER
    live: bool = False

    def ask(self, reader: Reader, by: Ranking) -> Top:
        """The answer."""
        return read_top(reader.connection, self.window, by, TOP, live=self.live)

    def check(self, reader: Reader, world: World) -> int:
        """Compare it with all pins, by each action and by all of them together."""
        answers = [self.ask(reader, by) for by in (*map(Ranking, Action), Ranking())]
        if not all(answer.certified for answer in answers):
            say(f"{self.name}: lists of heavy rows are not enough, all pins are added up")
        found = [{pin.pin_id: pin.counts for pin in answer.pins} for answer in answers]
        known = FOREVER if self.live else world.cut
        return check_tops(reader.connection, self.name, found, self.start, self.end, known)


def tops(reader: Reader, world: World, runs: int) -> list[Question]:
    """Top pins by saves."""
    hour = world.cut // HOUR * HOUR
    sealed = hour - 3 * HOUR
    asked = (
        TopQuestion("today so far", Recent.TODAY, TODAY_LIMITS, world.today),
        TopQuestion("the last 24 h", Recent.LAST_24H, TODAY_LIMITS, (world.cut - DAY) // HOUR * HOUR),
        TopQuestion("the last hour", Recent.LAST_HOUR, HOUR_LIMITS, world.cut - HOUR),
        TopQuestion("yesterday", Window(world.first, world.today), PAST_LIMITS, world.first, world.today),
        TopQuestion("a sealed hour", Window(sealed, sealed + HOUR), PAST_LIMITS, sealed, sealed + HOUR),
        TopQuestion(
            "the open hour, to the last flush", Window(hour, hour + HOUR), TODAY_LIMITS, hour, hour + HOUR, live=True
        ),
    )
    return [
        Question(
            f"top {TOP} pins of {each.name}",
            [partial(each.ask, reader, Ranking(Action.SAVE))] * runs,
            each.limits,
            partial(each.check, reader, world),
        )
        for each in asked
    ]
