"""What is served: the newest look as a document, as metrics, and to everybody who waits for the next."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from time import monotonic, time

from pintally.serve.both import run_both
from pintally.serve.derived import outcomes_of
from pintally.serve.document import Beside, Configured, state_of
from pintally.serve.findings import Engine, Look, Tables
from pintally.serve.looking import VIEWED_SECONDS, Looking
from pintally.serve.rates import Rates
from pintally.serve.state import Condition, State
from pintally.serve.verified import Runs, files_in, read_runs
from pintally.serve.workers import NOBODY, AskWorkers
from pintally.streams.settings import Settings
from pintally.streams.worker.ended import ended_workers

WORKERS_SECONDS = 2.0
FRESH_SECONDS = 3.0


class Served:
    """Looks while somebody looks. Made in the event loop that serves it."""

    def __init__(self, settings: Settings) -> None:
        self.looking = Looking(settings, self._changed)
        self.answers: Counter[tuple[str, str]] = Counter()
        self.verified = Runs()
        self._settings = settings
        self._configured = Configured(
            version("pintally"),
            settings.rules.allowed_lateness_seconds,
            settings.kafka.bootstrap_servers,
            settings.rules.in_topic,
        )
        self._ask_workers, self._workers = AskWorkers(settings.serve.workers), NOBODY
        self._rates = Rates()
        self._next: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.state = self._made(())

    @property
    def look(self) -> Look:
        """The newest look."""
        return self.looking.look

    @property
    def tables(self) -> Tables:
        """What is looked at less often."""
        return self.looking.tables

    @property
    def errors(self) -> dict[Engine, int]:
        """Looks that failed, by engine."""
        return self.looking.errors

    async def run(self) -> None:
        """Look, and ask workers, until cancelled. Raises what the first look is refused."""
        await run_both(self.looking.run(), self._run_workers())

    async def fresh(self) -> None:
        """Until there is a look of the last seconds, if one comes soon. For who asks once, while nobody looks."""
        if time() - self.look.at > FRESH_SECONDS:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wait_changed(), FRESH_SECONDS)

    async def wait_changed(self) -> None:
        """Until the next look."""
        await asyncio.shield(self._next)

    def _changed(self) -> None:
        if self.look.clickhouse and "clickhouse" not in self.look.trouble:
            self._rates.add(self.look.at, outcomes_of(self.look))
        self.verified = read_runs(files_in(self._settings.serve.verified))
        self.state = self._made((self.state.condition, *self.state.others))
        was, self._next = self._next, asyncio.get_running_loop().create_future()
        was.set_result(None)

    def _made(self, before: Sequence[Condition]) -> State:
        """Once a look, whoever asks for it. `before` are the conditions of the look before."""
        beside = Beside(self.tables, self._rates, self._workers, self.verified, ended_workers(), before)
        made = state_of(self.look, beside, self._configured)
        self.document: bytes = made.model_dump_json().encode()
        return made

    async def _run_workers(self) -> None:
        while True:
            began = monotonic()
            if self.looking.viewed:
                self._workers = await self._ask_workers.ask()
            await asyncio.sleep(max(VIEWED_SECONDS, began + WORKERS_SECONDS - monotonic()))
