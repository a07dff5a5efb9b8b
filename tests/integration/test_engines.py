"""The engines that the tests themselves stand on."""

from clickhouse_driver import Client

from tests.engines import TestEngines


def client(engines: TestEngines) -> Client:
    at = engines.addresses
    return Client(at.clickhouse_host, at.clickhouse_port, user=at.clickhouse_user, password=at.clickhouse_password)


def test_both_engines_answer(engines: TestEngines) -> None:
    engines.kafka.wait_ready(1)
    engines.clickhouse.wait_ready(1)
    with client(engines) as clickhouse:
        assert clickhouse.execute("SELECT 1") == [(1,)]


def test_clickhouse_keeps_inserted_rows_when_it_is_killed(restartable_engines: TestEngines) -> None:
    engines = restartable_engines
    with client(engines) as clickhouse:
        clickhouse.execute("CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n")
        clickhouse.execute("INSERT INTO kept VALUES", [(n,) for n in range(10)])
    engines.clickhouse.kill()
    engines.clickhouse.start()
    engines.clickhouse.wait_ready()
    with client(engines) as clickhouse:
        assert clickhouse.execute("SELECT count(), sum(n) FROM kept") == [(10, 45)]
        clickhouse.execute("DROP TABLE kept SYNC")
