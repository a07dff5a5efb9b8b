"""A process's log: one line an event as text or JSON, and no library's words."""

import asyncio
import gc
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pintally.schemas.errors import PintallyError
from pintally.streams.log.setup import Format, log_to_stderr, refuse_level
from pintally.streams.settings import Settings
from pintally.streams.worker.runner import CountingWorker

SECRET = "hunter2-7f3a"
LINE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR|CRITICAL) "
log = logging.getLogger("pintally.streams.worker.flush")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = sys.excepthook, sys.unraisablehook, threading.excepthook, logging.raiseExceptions
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    sys.excepthook, sys.unraisablehook, threading.excepthook, logging.raiseExceptions = before


def objects(text: str) -> list[dict[str, Any]]:
    """Each line as JSON."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_of_text_has_the_time_in_utc_the_level_and_the_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info", "text")
    log.warning("%s is away", "Kafka", extra={"engine": "Kafka"})
    [line] = capsys.readouterr().err.splitlines()
    assert re.match(LINE, line)
    assert line.endswith(" WARNING  Kafka is away")


def test_a_line_of_json_has_its_fields_by_name_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("INFO", "json", "one")
    log.warning("%s is away", "Kafka", extra={"engine": "Kafka", "seconds": 1.5, "stack": SECRET})
    [line] = objects(capsys.readouterr().err)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "WARNING", "logger": log.name, "message": "Kafka is away",
        "instance": "one", "engine": "Kafka", "seconds": 1.5,
    }  # fmt: skip


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_sentence_is_one_line_whatever_it_holds(style: Format, capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("INFO", style)
    log.info("a %s", "b\nc\r\n\x1b[31md\u2028e\ud800")
    [line] = capsys.readouterr().err.splitlines()
    assert "a b c [31md e" in line


def test_a_traceback_is_a_field_of_json_and_indented_lines_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    for style in ("json", "text"):
        log_to_stderr("INFO", style)
        try:
            int(SECRET)
        except ValueError as error:
            log.error("it failed", exc_info=error)
    said = capsys.readouterr().err
    first, *rest = said.splitlines()
    assert "ValueError (its text is left out" in json.loads(first)["exception"]
    assert rest[0].endswith("it failed")
    assert rest[1:]
    assert all(line.startswith("    ") for line in rest[1:])
    assert SECRET not in said


def libraries_speak() -> None:
    """As Faust, mode, aiokafka, the driver, asyncio and warnings do, at all levels."""
    for name in ("faust.worker", "mode.services", "aiokafka.conn", "kafka.conn", "clickhouse_driver", "aiohttp.server"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
            logging.getLogger(name).log(level, "Request: SaslAuthenticateRequest_v0(%r)", f"\0user\0{SECRET}".encode())
    log.warning("[^--%s]: Starting with %r...", "ChunkConsumer", SECRET)
    logging.getLogger("some.library").error(SECRET)
    warnings.warn(f"Expected `int` but got `str` with value {SECRET!r}", UserWarning, stacklevel=1)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("style", ["text", "json"])
def test_no_library_says_a_word(style: Format, capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("INFO", style)
    libraries_speak()
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("style", ["text", "json"])
def test_at_debug_clients_speak_of_their_connections_without_what_they_send(
    style: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    log_to_stderr("DEBUG", style)
    logging.getLogger("aiokafka.conn").info("Unable to connect to %s: %s", "10.0.0.1:9092", ValueError(SECRET))
    libraries_speak()
    said = capsys.readouterr().err
    assert "Unable to connect to 10.0.0.1:9092: ValueError (its text is left out" in said
    assert SECRET not in said
    assert "faust" not in said


@pytest.mark.parametrize("style", ["text", "json"])
def test_errors_that_nobody_catches_are_lines_of_the_log(style: Format, capsys: pytest.CaptureFixture[str]) -> None:
    async def forgotten() -> None:
        raise ValueError(SECRET)

    async def forget() -> None:
        asyncio.ensure_future(forgotten())  # noqa: RUF006  nobody waits for it
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    log_to_stderr("INFO", style)
    asyncio.run(forget())
    gc.collect()
    thread = threading.Thread(target=int, args=(SECRET,), name="looks")
    thread.start()
    thread.join()
    error = ValueError(SECRET)
    sys.excepthook(type(error), error, None)
    said = capsys.readouterr().err
    starts = objects(said) if style == "json" else [line for line in said.splitlines() if line[0] != " "]
    assert len(starts) == 3
    assert "Task exception was never retrieved" in said
    assert "thread looks ended: an error that nobody foresaw" in said
    assert "this process ends: an error that nobody foresaw" in said
    assert SECRET not in said


def test_a_worker_that_ends_by_an_error_in_a_thread_does_so_after_its_log_is_set_up_again() -> None:
    def ended(_: object) -> None:
        """What watches the worker."""

    threading.excepthook = ended
    worker = SimpleNamespace(loglevel="INFO", app=SimpleNamespace(settings=Settings.of(None)), spinner=None)
    CountingWorker._setup_logging(worker)  # type: ignore[arg-type]  # stands for a worker
    assert threading.excepthook is ended


def test_a_line_that_cannot_be_written_is_dropped_without_what_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("INFO", "text")
    log.info("%d cells", SECRET)
    assert SECRET not in capsys.readouterr().err


def test_a_line_that_stands_for_others_says_for_how_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("pintally.streams.log.repeated.monotonic", lambda: now[0])
    log_to_stderr("INFO", "json")
    for _ in range(1000):
        log.warning("it fails again")
        now[0] += 0.1
    now[0] += 3600
    log.warning("it fails again")
    lines = objects(capsys.readouterr().err)
    assert len(lines) < 30
    assert sum(line.get("left_out", 0) for line in lines) + len(lines) == 1001


def test_a_level_that_does_not_exist_is_refused() -> None:
    refuse_level("warning")
    with pytest.raises(PintallyError, match="--log-level LOUD"):
        refuse_level("LOUD")
