"""The look: one for all viewers, a second apart while somebody looks, seldom else."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from time import monotonic, time

from pintally.schemas.errors import PintallyError
from pintally.schemas.rows import ReplacedRow
from pintally.serve.asking import FIRST_SECONDS, PATIENCE_SECONDS, Asking
from pintally.serve.both import run_both
from pintally.serve.findings import ENGINES, Engine, InClickHouse, InKafka, Look, Tables, Trouble
from pintally.serve.next_look import next_look, uncounted
from pintally.serve.questions import AskClickHouse, AskKafka, AskTables
from pintally.streams.kafka.topics import sources_of
from pintally.streams.settings import Settings
from pintally.streams.worker.outage import CLICKHOUSE, KAFKA, Outage

log = logging.getLogger(__name__)

VIEWED_SECONDS, SCRAPED_SECONDS, IDLE_SECONDS = 1.0, 5.0, 15.0  # from look to look
TABLES_VIEWED_SECONDS, TABLES_IDLE_SECONDS = 10.0, 60.0
SHARE = 30  # looks that nobody waits for take at most a thirtieth of the time
TABLES_VIEWED_SHARE = 5  # somebody waits for dead letters: the page shows their number beside that of the last minute
LONGEST_SECONDS = 30.0  # from look to look, however long one takes
OUTAGES: Mapping[Engine, Outage] = {"kafka": KAFKA, "clickhouse": CLICKHOUSE}
ASKED_SECONDS = 60.0  # a scrape, and for this long others are expected
POLLED_SECONDS = 10.0  # the document was asked for, and for this long somebody is taken to look


class Looking:
    """Looks again and again. `look` and `tables` are the newest; `changed` is called after each look."""

    def __init__(self, settings: Settings, changed: Callable[[], None] = lambda: None) -> None:
        self._settings, self._changed = settings, changed
        self._began = time()
        self._kafka, self._clickhouse, self._tables = AskKafka(settings), AskClickHouse(settings), AskTables(settings)
        self._asking_kafka: Asking[InKafka] = Asking("Kafka")
        self._asking_clickhouse: Asking[tuple[list[ReplacedRow], InClickHouse | None]] = Asking(
            "ClickHouse", lambda: self._clickhouse.shards.asked
        )
        self._asking_tables: Asking[Tables] = Asking("ClickHouse", lambda: self._tables.shards.asked)
        self._replaced: list[ReplacedRow] = []
        self._answered: dict[Engine, float] = {}
        self._wake = asyncio.Event()
        self._viewers = 0
        self._polled = self._scraped = -ASKED_SECONDS
        self.errors: dict[Engine, int] = dict.fromkeys(ENGINES, 0)
        self.look = Look(0, self._began, None, None, (), {}, {}, {})
        self.tables = Tables()

    @contextlib.contextmanager
    def viewing(self) -> Iterator[None]:
        """Somebody sees every look in this block."""
        self._viewers += 1
        self._wake.set()
        try:
            yield
        finally:
            self._viewers -= 1

    @property
    def viewers(self) -> int:
        """How many see every look."""
        return self._viewers

    def polled(self) -> None:
        """Somebody asked for the document."""
        if not self.viewed:
            self._wake.set()
        self._polled = monotonic()

    def scraped(self) -> None:
        """Somebody asked for the metrics."""
        self._scraped = monotonic()

    async def run(self) -> None:
        """Look until cancelled. Raises what an engine refuses that has never answered."""
        try:
            await run_both(self._run_looks(), self._run_tables())
        finally:
            await self._asking_kafka.close(self._kafka.close)
            await self._asking_clickhouse.close(self._clickhouse.close)
            await self._asking_tables.close(self._tables.close)

    async def _run_looks(self) -> None:
        while True:
            self._wake.clear()
            began = monotonic()
            before, self.look = self.look, await self._look()
            if self.look.answered and not before.answered:
                log.info("both engines answer: %d sources", len(self.look.sources))
            self._changed()
            await self._pause(began, monotonic() - began)

    @property
    def viewed(self) -> bool:
        """Whether somebody looks now."""
        return self._viewers > 0 or monotonic() - self._polled < POLLED_SECONDS

    def _seconds(self, took: float) -> float:
        if self.viewed:
            return VIEWED_SECONDS
        idle = SCRAPED_SECONDS if monotonic() - self._scraped < ASKED_SECONDS else IDLE_SECONDS
        return max(idle, SHARE * took)

    async def _pause(self, began: float, took: float) -> None:
        """Until the next look is due; a viewer who comes makes it due at once, but for a second after the last."""
        due = began + min(self._seconds(took), LONGEST_SECONDS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, due - monotonic()))
        await asyncio.sleep(max(0.0, began + VIEWED_SECONDS - monotonic()))

    async def _look(self) -> Look:
        """The ledger before the log, so that the lag is never too low."""
        began, before = monotonic(), self.look
        trouble: dict[Engine, Trouble] = {}
        kafka = before.kafka or await self._ask_kafka(trouble)
        clickhouse = await self._ask_clickhouse(kafka, trouble)
        kafka = (await self._ask_kafka(trouble) if "kafka" not in trouble else None) or kafka
        margin_ms = self._settings.worker.idle_margin_seconds * 1000
        return next_look(
            before, kafka, clickhouse or before.clickhouse, trouble, margin_ms, time(), monotonic() - began
        )

    async def _ask_kafka(self, trouble: dict[Engine, Trouble]) -> InKafka | None:
        try:
            found = await self._asking_kafka.ask(
                lambda: self._kafka.look(self._replaced, uncounted(self.look)),
                PATIENCE_SECONDS if "kafka" in self._answered else FIRST_SECONDS,
            )
        except PintallyError as error:
            self._failed("kafka", error, trouble)
            return None
        self._answers("kafka")
        return found

    async def _ask_clickhouse(self, kafka: InKafka | None, trouble: dict[Engine, Trouble]) -> InClickHouse | None:
        sources = sources_of(kafka.topics) if kafka else []
        try:
            self._replaced, found = await self._asking_clickhouse.ask(
                lambda: (self._clickhouse.replaced(), self._clickhouse.look(sources) if sources else None)
            )
        except PintallyError as error:
            self._failed("clickhouse", error, trouble)
            return None
        self._answers("clickhouse")
        return found

    def _answers(self, engine: Engine) -> None:
        self._answered[engine] = time()
        OUTAGES[engine].back()

    def _failed(self, engine: Engine, error: PintallyError, trouble: dict[Engine, Trouble]) -> None:
        trouble[engine] = now = Trouble.of(error, self._answered.get(engine, self._began))
        self.errors[engine] += 1
        if now.refuses and engine not in self._answered:
            raise error  # at the start a person reads it where the command was given
        OUTAGES[engine].away(error.what, "the page")

    async def _run_tables(self) -> None:
        while True:
            began = monotonic()
            with contextlib.suppress(PintallyError):  # the look beside it says what is wrong
                self.tables = (await self._asking_tables.ask(self._tables.look, FIRST_SECONDS)).after(self.tables)
            took = monotonic() - began
            while monotonic() - began < tables_seconds(took, viewed=self.viewed):
                await asyncio.sleep(1.0)


def tables_seconds(took: float, *, viewed: bool) -> float:
    """Returns the time from look to look at tables, of which the last took so many seconds."""
    if viewed:
        return max(TABLES_VIEWED_SECONDS, TABLES_VIEWED_SHARE * took)
    return max(TABLES_IDLE_SECONDS, SHARE * took)
