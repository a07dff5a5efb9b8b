"""How a worker stops: with what it folded flushed, or with a word about why not; never with a traceback."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.schemas.rows import StartRow
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.slices import Base
from pintally.streams.settings import Settings
from pintally.streams.worker.app import CountingApp, create_app
from pintally.streams.worker.flush import SinkRolledBack
from tests.support.faulty_sink import Fault, FaultySink
from tests.support.logs import ACTION, SOURCE, T0, Log, chunk, record


def stop(sink: FaultySink, crashed: bool = False) -> None:
    """Stop an app that has folded one record."""

    async def run() -> None:
        app: CountingApp = create_app(Settings.of(None), sink)
        sink.starts.append(StartRow(SOURCE, 0, 0, 0, app.settings.rules.to_rules().to_json()))
        fold = SourceFold(SOURCE, ACTION, app.settings.rules.to_rules(), 0, Base(0, 0, 0, 0))
        fold.fold(chunk(Log((record(0, T0),), 1), 0, 1))
        app.flusher.folds = lambda: [fold]
        app.flusher.lag = lambda _fold: 0
        if crashed:
            app._crashed.set()
        await app.on_stop()

    asyncio.run(run())


def test_a_worker_that_stops_records_what_it_has_folded() -> None:
    sink = FaultySink()
    stop(sink)
    assert [row.position for row in sink.ledger.values()] == [1]


def test_a_worker_that_crashed_records_nothing_more() -> None:
    sink = FaultySink()
    stop(sink, crashed=True)
    assert sink.ledger == {}


@pytest.mark.parametrize("error", [SinkUnavailable, SinkError])
def test_a_worker_that_stops_without_its_sink_says_so_and_stops(
    error: Callable[[str], BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    sink = FaultySink()
    sink.fault = Fault("cells", lambda: error("no such table"))
    with caplog.at_level(logging.WARNING):
        stop(sink)
    assert "no such table" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_worker_that_stops_and_finds_its_ledger_rolled_back_does_not_restart(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pintally.streams.worker.fatal.end_process", lambda reason: pytest.fail(reason))
    sink = FaultySink()
    sink.fault = Fault("read_back", lambda: SinkRolledBack("the ledger is at version 1, 3 was flushed"))
    stop(sink)
    assert "3 was flushed" in caplog.text
