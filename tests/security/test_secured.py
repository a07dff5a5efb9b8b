"""Kafka and ClickHouse with TLS and logins, as operators run them: what works, what is refused, and what leaks."""

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from pintally.schemas.errors import PintallyError, SinkError
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.layout import Layout
from pintally.sinks.clickhouse.scripts import views_of_readers
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.clickhouse.stale_rows import delete_superseded, in_hours
from pintally.sinks.clickhouse.users import BEHIND_VIEWS, WRITTEN, create_users, statements, users
from pintally.streams.kafka.admin import open_admin
from pintally.streams.settings import Settings
from tests.e2e.running import pintally, verify, wait_caught_up, wait_for, workers
from tests.security.conftest import Make
from tests.security.grants import allowed, called, one_row
from tests.support.all_cells import all_cells
from tests.support.secured import ADMIN, DATABASE, READER, SECRET, Secured

WRONG = "wr0ng-password-that-must-not-show"


@pytest.mark.timeout(180)
def test_a_worker_counts_with_tls_and_login_everywhere_and_as_a_user_with_few_rights(
    make: Make, tmp_path: Path
) -> None:
    settings, said = make(), []
    with workers(settings, tmp_path) as start:
        worker = start()
        said.append(pintally(settings, "emulate", "--events", "3000", "--json"))
        wait_caught_up(settings)
        assert verify(settings)["exact"]
        said += [pintally(settings, *command.split()) for command in ("status --json", "status", "top", "verify")]
        reading = settings.changed(clickhouse_user=READER)
        said.append(pintally(reading, "top", "--json"))
        assert worker.stop() == 0
        logged = worker.log.read_text()
    assert [done.returncode for done in said] == [0] * len(said), said
    assert SECRET not in logged
    assert SECRET not in "".join(done.stdout + done.stderr for done in said)
    assert json.loads(said[-1].stdout)


@pytest.mark.timeout(120)
def test_a_worker_shows_its_certificate_where_kafka_asks_for_one(secured: Secured, make: Make, tmp_path: Path) -> None:
    settings = make(
        kafka_bootstrap_servers=secured.kafka["SSL"],
        kafka_security_protocol="SSL",
        kafka_cert_file=secured.client_file,
        kafka_username=None,
        kafka_password="",
    )
    with workers(settings, tmp_path) as start:
        start()
        assert pintally(settings, "emulate", "--events", "500").returncode == 0
        wait_caught_up(settings)
    assert verify(settings)["exact"]


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_every_login_that_can_be_set_works(secured: Secured, protocol: str, mechanism: str) -> None:
    settings = secured.settings(
        kafka_bootstrap_servers=secured.kafka[protocol],
        kafka_security_protocol=protocol,
        kafka_sasl_mechanism=mechanism,
    )
    with open_admin(settings.kafka) as admin:
        assert admin.describe_cluster()["brokers"]


def stranger(tmp_path: Path) -> str:
    """Somebody else's authority."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "stranger.pem")
    return str(tmp_path / "stranger.pem")


KAFKA_TROUBLE: dict[str, tuple[dict[str, Any], str]] = {
    "SCRAM password": ({"kafka_password": WRONG}, "PINTALLY_KAFKA_PASSWORD"),
    "PLAIN password": ({"kafka_password": WRONG, "kafka_sasl_mechanism": "PLAIN"}, "PINTALLY_KAFKA_PASSWORD"),
    "user": ({"kafka_username": "nobody"}, "PINTALLY_KAFKA_USERNAME"),
    "authority": ({"kafka_ca_file": "stranger"}, "PINTALLY_KAFKA_CA_FILE"),
    "protocol": (
        {"kafka_security_protocol": "PLAINTEXT", "kafka_username": None, "kafka_password": ""},
        "PINTALLY_KAFKA_SECURITY_PROTOCOL",
    ),
}
CLICKHOUSE_TROUBLE: dict[str, tuple[dict[str, Any], str]] = {
    "password": ({"clickhouse_password": WRONG}, "PINTALLY_CLICKHOUSE_PASSWORD"),
    "authority": ({"clickhouse_ca_file": "stranger"}, "PINTALLY_CLICKHOUSE_CA_FILE"),
}


@pytest.mark.parametrize(
    ("spoken", "asked"),
    [
        ("SSL", "PLAINTEXT"),
        ("SSL", "SASL_PLAINTEXT"),
        ("SASL_PLAINTEXT", "PLAINTEXT"),
        ("SASL_SSL", "PLAINTEXT"),
        ("PLAINTEXT", "SASL_PLAINTEXT"),
        ("PLAINTEXT", "SASL_SSL"),
        ("SASL_PLAINTEXT", "SSL"),
    ],
)
def test_a_wrong_protocol_is_refused_and_not_waited_for(secured: Secured, spoken: str, asked: str) -> None:
    """The broker only hangs up, as one does that is not there yet."""
    address = secured.plain.kafka if spoken == "PLAINTEXT" else secured.kafka[spoken]
    login = {} if asked.startswith("SASL") else {"kafka_username": None, "kafka_password": ""}
    settings = secured.settings(kafka_bootstrap_servers=address, kafka_security_protocol=asked, **login)
    with pytest.raises(PintallyError) as error, open_admin(settings.kafka):
        pass
    assert error.value.exit_code == 2
    assert "PINTALLY_KAFKA_SECURITY_PROTOCOL" in error.value.remedy


def refused(settings: Settings, tmp_path: Path, changes: dict[str, Any], *command: str) -> str:
    """What a command that cannot be done says; it says no secret."""
    changes = {name: stranger(tmp_path) if value == "stranger" else value for name, value in changes.items()}
    done = pintally(settings.changed(**changes), *command)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert WRONG not in said
    assert SECRET not in said
    return said


@pytest.mark.parametrize("trouble", KAFKA_TROUBLE)
@pytest.mark.parametrize("command", ["status --json", "worker", "verify --json"])
@pytest.mark.timeout(120)
def test_what_is_wrong_with_the_way_to_kafka_is_named(make: Make, tmp_path: Path, trouble: str, command: str) -> None:
    changes, remedy = KAFKA_TROUBLE[trouble]
    assert remedy in refused(make(), tmp_path, changes, *command.split())


@pytest.mark.parametrize("trouble", CLICKHOUSE_TROUBLE)
@pytest.mark.parametrize("command", ["status --json", "worker", "migrate", "top"])
def test_what_is_wrong_with_the_way_to_clickhouse_is_named(
    make: Make, tmp_path: Path, trouble: str, command: str
) -> None:
    changes, remedy = CLICKHOUSE_TROUBLE[trouble]
    assert remedy in refused(make(), tmp_path, changes, *command.split())


@pytest.mark.parametrize("trouble", CLICKHOUSE_TROUBLE)
def test_verify_says_so_too(make: Make, tmp_path: Path, trouble: str) -> None:
    changes, remedy = CLICKHOUSE_TROUBLE[trouble]
    said = refused(make(), tmp_path, changes, "verify", "--json")
    assert remedy in said or "Check the user, the password" in said


def tables(secured: Secured) -> dict[str, str]:
    """Every table and view, and its engine."""
    with Connection(secured.settings(clickhouse_user=ADMIN).clickhouse, 30) as connection:
        rows = connection.rows("SELECT name, engine FROM system.tables WHERE database = currentDatabase()")
        return {name: engine for name, engine in rows if not name.startswith(".")}


def test_every_table_is_written_by_the_worker_or_by_migrate_alone(secured: Secured) -> None:
    stored = {name for name, engine in tables(secured).items() if engine != "View"}
    assert stored == {*WRITTEN, "schema_files"}


def test_readers_read_the_views_and_nothing_of_anybody(secured: Secured) -> None:
    readable = {name for name in tables(secured) if allowed(secured.settings(clickhouse_user=READER), one_row(name))}
    assert readable == {*views_of_readers(), *BEHIND_VIEWS}
    assert not any(name.startswith(("dead_", "ingest_", "superseded_", "schema_")) for name in readable)


@pytest.mark.parametrize("user", [READER, "pintally_worker"])
def test_neither_user_changes_tables_or_rights(secured: Secured, user: str) -> None:
    for sql in (
        "DROP TABLE pin_minutes",
        "TRUNCATE TABLE ingest_ledger",
        "ALTER TABLE pin_minutes ADD COLUMN x UInt8",
        "ALTER TABLE pin_minutes UPDATE events = 0 WHERE 1",
        "CREATE TABLE other (a UInt8) ENGINE = Memory",
        "CREATE DATABASE other",
        "CREATE USER other",
        "SELECT * FROM system.users",
        "SELECT * FROM url('http://127.0.0.1:1', CSV, 'a String')",
        "SELECT * FROM file('/etc/passwd', LineAsString)",
        "SYSTEM FLUSH LOGS",
    ):
        assert not allowed(secured.settings(clickhouse_user=user), sql), sql


def test_readers_write_nothing(secured: Secured) -> None:
    for name in WRITTEN:
        assert not allowed(
            secured.settings(clickhouse_user=READER), f"INSERT INTO {name} SELECT * FROM {name} WHERE 0"
        ), name
        assert not allowed(secured.settings(clickhouse_user=READER), f"DELETE FROM {name} WHERE 0"), name


def test_workers_may_seal_and_delete_superseded_rows(secured: Secured) -> None:
    address = secured.settings().clickhouse
    assert seal(address, 1_700_000_000).unsettled == ()
    with Connection(address, 30) as connection:
        connection.insert(
            "ingest_starts",
            ("source", "topic", "topic_id", "partition", "epoch", "start", "start_stream_time", "rules"),
            [(1, "t", uuid.UUID(int=1), 0, number, 0, 0, '{"slice_records": 10}') for number in (0, 1)],
        )
        connection.insert(
            "pin_minutes",
            ("source", "slice_block", "arrived_at", "action", "minute", "pin_id", "events", "version"),
            [(1, 5, 0, 1, 1_700_000_000 // 60 * 60, 7, 1, 3)],
        )
        hour = 1_700_000_000 // 3600 * 3600
        delete_superseded(connection, in_hours(hour, hour + 3600))
        assert connection.rows("SELECT count() FROM pin_minutes WHERE source = 1") == [(0,)]


def test_the_sql_for_the_users_is_sql(secured: Secured) -> None:
    """The local engine keeps its users in files, so the statements are read here; their grants are tested above."""
    with Connection(secured.settings(clickhouse_user=ADMIN).clickhouse, 30) as connection:
        for user in users(DATABASE, "a", "b"):
            at_once = f"GRANT {', '.join(user.grants)} TO {user.name}"  # as `migrate` grants again
            in_cluster = statements(user, layout=Layout("counts", DATABASE))
            for statement in (*statements(user), *in_cluster, at_once):
                assert connection.rows(f"EXPLAIN AST {statement}"), statement


@pytest.mark.parametrize("prefix", ["", "new_"])
def test_a_server_with_its_users_in_files_is_told_of_as_such(secured: Secured, prefix: str) -> None:
    made = [replace(user, name=prefix + user.name) for user in users(DATABASE, "a", "b")]
    with pytest.raises(SinkError, match="keeps its users in files") as refused:
        create_users(secured.settings(clickhouse_user=ADMIN).clickhouse, made)
    assert "--xml" in refused.value.remedy


def test_nothing_of_a_person_is_in_any_table_but_the_dead_letters(secured: Secured, make: Make, tmp_path: Path) -> None:
    settings = make()
    people = [f"77{number:010d}31" for number in range(40)]
    send_as(settings, people)
    with workers(settings, tmp_path) as start:
        worker = start()
        wait_caught_up(settings)
        wait_for(lambda: int(all_cells(ClickHouseSink(settings.clickhouse)).events.sum()) > 0, 30, "counted")
        logged = worker.log.read_text()
    with Connection(secured.settings(clickhouse_user=ADMIN).clickhouse, 30) as connection:
        for name in tables(secured):
            held = "".join(str(row) for row in connection.rows(f"SELECT * FROM {called(name)}"))
            assert any(person in held for person in people) == (name == "dead_letters"), name
    assert not any(person in logged for person in people)


def send_as(settings: Settings, people: list[str]) -> None:
    """Valid, late and invalid events of these people."""
    from kafka import KafkaProducer

    from pintally.schemas.actions import Action
    from pintally.streams.kafka.clients import kafka_options
    from tests.fuzz.hostile import Hostile

    producer, hostile = KafkaProducer(**kafka_options(settings.kafka)), Hostile(1, Action.SAVE.label, stamped=False)
    for number, person in enumerate(people):
        late = hostile.now() - (100_000_000 if number % 4 == 0 else 0)
        value = hostile.event(user_id=person, occurred_at=late, pin_id="x" if number % 4 == 1 else "5")
        producer.send(settings.topics.names[Action.SAVE], value, key=b"5", partition=0)
    producer.close()
