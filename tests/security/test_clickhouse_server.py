"""TLS that ClickHouse itself speaks, and `pintally users --create`, on a whole server: where Docker has one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.scripts import views_of_readers
from pintally.sinks.clickhouse.users import BEHIND_VIEWS, WRITTEN
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings
from tests.e2e.running import pintally, verify, wait_caught_up, workers
from tests.security.grants import allowed
from tests.support.engines import TestEngines, drop_topics
from tests.support.server_container import SECRET, Server, clickhouse_server, skip_without_server

READER = "pintally_reader"
LOGINS = (("pintally_worker", "w0rker-of-the-tests"), (READER, "r3ader-of-the-tests"))
NEW = {"PINTALLY_WORKER_PASSWORD": LOGINS[0][1], "PINTALLY_READER_PASSWORD": LOGINS[1][1]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    skip_without_server()
    with clickhouse_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def there(server: Server, settings: Settings, engines: TestEngines) -> Iterator[Settings]:
    """Topics on the session's Kafka, and tables on the server, made over TLS."""
    made = server.settings(settings, partitions=1)
    create_topics(*made.sources)
    try:
        assert pintally(made, "migrate").returncode == 0
        yield made
    finally:
        drop_topics(engines.addresses, made.topics.topic_prefix)


@pytest.mark.timeout(300)
def test_all_commands_speak_tls_with_the_server(there: Settings, tmp_path: Path) -> None:
    with workers(there, tmp_path) as start:
        worker = start()
        assert pintally(there, "emulate", "--events", "3000").returncode == 0
        wait_caught_up(there)
        assert verify(there)["exact"]
        done = [pintally(there, *command.split()) for command in ("status", "top", "dlq list", "rules show")]
        assert [each.returncode for each in done] == [0, 0, 0, 0], done
        assert SECRET not in worker.log.read_text() + "".join(each.stdout + each.stderr for each in done)


@pytest.mark.parametrize("command", ["status", "verify", "top"])
def test_a_certificate_of_another_authority_is_refused(there: Settings, tmp_path: Path, command: str) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "stranger.pem")
    done = pintally(there.changed(clickhouse_ca_file=str(tmp_path / "stranger.pem")), command)
    assert (done.returncode, "PINTALLY_CLICKHOUSE_CA_FILE" in done.stdout + done.stderr) == (2, True)


def test_a_certificate_of_another_name_is_refused(there: Settings) -> None:
    done = pintally(there.changed(clickhouse_host="127.0.0.2"), "status")
    assert (done.returncode, "PINTALLY_CLICKHOUSE_HOST" in done.stderr) == (2, True), done.stderr


@pytest.fixture
def with_users(there: Settings) -> Settings:
    """`pintally users --create` has run, twice."""
    for _ in range(2):
        done = create(there, NEW)
        if "keeps its users in files" in done.stderr:
            pytest.skip("waits for a server that keeps users in SQL, as the official image does")
        assert done.returncode == 0, done.stderr
        assert not any(password in done.stdout + done.stderr for password in (*NEW.values(), SECRET))
    return there


def create(settings: Settings, passwords: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pintally.cli", "users", "--create"],
        env=settings.environment() | passwords,
        cwd=os.getcwd(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def as_user(settings: Settings, user: str, password: str) -> Settings:
    return settings.changed(clickhouse_user=user, clickhouse_password=password)


@pytest.mark.timeout(300)
def test_the_users_that_are_created_do_their_work(with_users: Settings, tmp_path: Path) -> None:
    worker, reader = (as_user(with_users, *login) for login in LOGINS)
    with workers(worker, tmp_path) as start:
        start()
        assert pintally(worker, "emulate", "--events", "1000").returncode == 0
        wait_caught_up(worker)
        assert verify(worker)["exact"]
        assert pintally(worker, "status").returncode == 0
        assert pintally(reader, "top", "--json").returncode == 0


def test_the_users_that_are_created_may_do_nothing_else(with_users: Settings) -> None:
    worker, reader = (as_user(with_users, *login) for login in LOGINS)
    views = views_of_readers()
    readable = {name for name in (*WRITTEN, *views) if allowed(reader, f"SELECT * FROM {name} LIMIT 1")}
    assert readable == {*views, *BEHIND_VIEWS}
    for sql in ("DROP TABLE pin_minutes", "TRUNCATE TABLE ingest_ledger", "CREATE USER other", "SYSTEM FLUSH LOGS"):
        assert not allowed(worker, sql), sql
        assert not allowed(reader, sql), sql
    for name in WRITTEN:
        assert not allowed(reader, f"INSERT INTO {name} SELECT * FROM {name} WHERE 0"), name


def test_migrate_gives_back_a_right_that_a_user_lacks(with_users: Settings) -> None:
    reader = as_user(with_users, *LOGINS[1])
    with Connection(with_users.clickhouse, 30) as connection:
        connection.execute(f"REVOKE SELECT ON `{with_users.clickhouse.database}`.seal_state FROM {READER}")
    assert not allowed(reader, "SELECT * FROM seal_state")
    assert pintally(with_users, "migrate").returncode == 0
    assert allowed(reader, "SELECT * FROM seal_state")


def test_creating_again_takes_other_rights_away_and_refuses_no_reader_meanwhile(with_users: Settings) -> None:
    reader = as_user(with_users, *LOGINS[1])
    database = with_users.clickhouse.database
    with Connection(with_users.clickhouse, 30) as connection:
        connection.execute(f"GRANT SELECT ON `{database}`.dead_letters TO {READER}")
    assert allowed(reader, "SELECT * FROM dead_letters")
    with ThreadPoolExecutor(1) as pool:
        runs = pool.submit(lambda: [run(with_users).returncode for _ in range(5) for run in (again, migrated)])
        asked = [allowed(reader, "SELECT * FROM seal_state") for _ in iter(runs.done, True)]
    assert runs.result() == [0] * 10
    assert asked
    assert all(asked)
    assert not allowed(reader, "SELECT * FROM dead_letters")


def again(settings: Settings) -> "subprocess.CompletedProcess[str]":
    return create(settings, NEW)


def migrated(settings: Settings) -> "subprocess.CompletedProcess[str]":
    return pintally(settings, "migrate")


def test_a_password_is_changed_by_creating_again(with_users: Settings) -> None:
    changed = NEW | {"PINTALLY_READER_PASSWORD": "an0ther-of-the-tests"}
    assert create(with_users, changed).returncode == 0
    assert allowed(as_user(with_users, READER, changed["PINTALLY_READER_PASSWORD"]), "SELECT 1")
    with pytest.raises(SinkError, match="refused the login"):
        allowed(as_user(with_users, READER, NEW["PINTALLY_READER_PASSWORD"]), "SELECT 1")
