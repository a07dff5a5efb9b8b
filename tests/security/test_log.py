"""Nothing of a person and no secret is in the log of a worker, whatever it is sent and however it fails."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaProducer

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.connection import Connection
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.log.fields import FIELDS
from pintally.streams.settings import Settings
from pintally.tools.python import PINTALLY, module
from tests.e2e.running import progress, start_process, wait_caught_up, wait_for, workers
from tests.fuzz.hostile import Hostile
from tests.security.conftest import Make
from tests.support.secured import ADMIN, DATABASE, SECRET, Secured

PERSON, MAIL, TOKEN = "918475561234567", "ada.lovelace@persons.example", "tok-5f2c9a71e0"
DEBUG = (*PINTALLY, "worker", "--log-level", "DEBUG")
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR|CRITICAL) |    ")
FAULT = "FAULT "  # a line of the test's own


def hostile_values() -> list[bytes | None]:
    """Counted, late and invalid, with persons in each place."""
    made = Hostile(1, Action.SAVE.label, stamped=False)
    fine = made.event(user_id=PERSON, occurred_at=made.now(), pin_id="5")
    return [
        fine,
        made.event(user_id=PERSON, occurred_at=made.now() - 100_000_000, pin_id="5"),
        made.event(user_id=MAIL, occurred_at=made.now(), pin_id="5"),
        made.event(user_id=PERSON, occurred_at=made.now(), pin_id=MAIL),
        fine.replace(b'"5"', f'"{TOKEN}"'.encode()),
        fine[:-1],
        f"{MAIL} {TOKEN} {PERSON}\n\x1b[31m".encode(),
        f'{{"user_id": "{PERSON}", "user_id": "{MAIL}"}}'.encode() * 3,
        b"\xff\xfe" + MAIL.encode("utf-16-le"),
        json.dumps({"token": TOKEN, "nested": [[MAIL] * 50] * 50}).encode(),
        b"\x00\x00\x00\x00\x07" + fine,
        None,
    ]


def send(settings: Settings, times: int = 1) -> None:
    """Hostile records to a source topic; persons are in keys and headers too."""
    producer = KafkaProducer(**kafka_options(settings.kafka))
    headers = [(MAIL, TOKEN.encode()), ("authorization", f"Bearer {TOKEN}".encode())]
    for value in hostile_values() * times:
        producer.send(settings.topics.names[Action.SAVE], value, key=MAIL.encode(), headers=headers, partition=0)
    producer.close()


@contextmanager
def constraint(secured: Secured) -> Iterator[None]:
    """ClickHouse refuses dead letters of this person, and quotes them."""
    with Connection(secured.settings(clickhouse_user=ADMIN).clickhouse, 30) as connection:
        table = f"`{DATABASE}`.dead_letters"
        check = f"position(ifNull(value, ''), '{MAIL}') = 0"
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK {check}")
        try:
            yield
        finally:
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT refused")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("style", ["text", "json"])
def test_nothing_of_a_person_and_no_password_is_in_a_workers_log(
    secured: Secured, make: Make, tmp_path: Path, style: str
) -> None:
    settings = make(
        kafka_bootstrap_servers=secured.kafka["SASL_PLAINTEXT"],
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="PLAIN",
        log_format=style,
    )
    with workers(settings, tmp_path) as start:
        worker = start(command=DEBUG)
        worker.wait_ready()
        with constraint(secured):
            send(settings)
            wait_for(lambda: worker.said("error 469"), 60, "ClickHouse refuses dead letters")
        wait_caught_up(settings)
        assert worker.stop() == 0
        said = worker.log.read_text()
    assert progress(settings)[0] == len(hostile_values())
    said += failing(settings, tmp_path)
    assert "ValueError (its text is left out: it may quote a record)" in said
    assert "aiokafka" in said or style == "text", "clients speak at DEBUG"
    for secret in (PERSON, MAIL, TOKEN, SECRET, MAIL.partition("@")[0], "Bearer"):
        assert secret not in said, secret
    if style == "text":
        assert [line for line in said.splitlines() if not LINE.match(line)] == []
    else:
        assert fields_of(said) <= {"ts", "level", "logger", "message"} | FIELDS.keys()


def fields_of(said: str) -> set[str]:
    """All fields of lines that are JSON, as each must be."""
    return {name for line in said.splitlines() for name in json.loads(line)}


def failing(settings: Settings, tmp_path: Path) -> str:
    """A worker whose fold fails with an error that quotes a record; what it said."""
    trigger, log = tmp_path / "trigger", tmp_path / "failing.log"
    trigger.touch()
    process = start_process(
        [*module("tests.e2e.faults"), "fold-quotes-a-record", str(trigger)], settings, log, signals_wait=True
    )
    try:
        send(settings)
        assert process.wait(90) == 75, log.read_text()
    finally:
        process.kill()
    return "".join(line for line in log.read_text().splitlines(keepends=True) if not line.startswith(FAULT))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kafka_bootstrap_servers": f"kafka://ada:{TOKEN}@broker:9092"},
        {"clickhouse_host": f"http://ada:{TOKEN}@clickhouse:8123/?password={TOKEN}"},
        {"kafka_password": TOKEN, "clickhouse_password": TOKEN, "partitions": "none"},
    ],
)
def test_a_password_in_a_setting_that_is_refused_is_not_shown(wrong: dict[str, str]) -> None:
    given = {f"PINTALLY_{name.upper()}": value for name, value in wrong.items()}
    done = subprocess.run(
        [*PINTALLY, "worker"], env=os.environ | given, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "error: setting PINTALLY_" in done.stderr
    assert TOKEN not in done.stdout + done.stderr
