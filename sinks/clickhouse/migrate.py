"""Creates and upgrades the tables: `sinks/clickhouse/migrations/*.sql`, each applied once, in order of its number."""

import time
from pathlib import Path

from clickhouse_driver.errors import Error, ServerException
from clickhouse_migrations.clickhouse_cluster import ClickhouseCluster
from clickhouse_migrations.exceptions import MigrationException
from clickhouse_migrations.migration import MigrationStorage

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import CONNECT_SECONDS, Connection
from pintally.sinks.clickhouse.errors import translate
from pintally.sinks.clickhouse.older_servers import readable
from pintally.sinks.clickhouse.pins import READS, WRITES

MIGRATIONS = Path(__file__).parent / "migrations"
ATTEMPTS = 5  # several workers may create the same things at the same moment; the loser looks again


def migrate(address: ClickHouseAddress, timeout_seconds: float = 60) -> list[str]:
    """Create the database if it is missing and apply what is new; returns the names of the files applied now.

    Can be called any number of times, and by several workers at once: every statement can be repeated.
    Raises SinkUnavailable if ClickHouse does not answer, SinkError if it refuses.
    """
    with Connection(address, timeout_seconds, database=""):
        pass  # refused here if the login is wrong or nobody answers, in words a person can use
    for attempt in range(ATTEMPTS):
        try:
            return _apply(address, timeout_seconds)
        except ServerException as error:
            if attempt == ATTEMPTS - 1:
                raise translate(error, address) from error
            time.sleep(0.2 * (attempt + 1))
        except (Error, OSError, EOFError) as error:
            raise translate(error, address) from error
        except MigrationException as error:
            raise SinkError(
                f"the tables in {address} do not follow from {MIGRATIONS.name}/: {error}",
                "They were made by another version: use that one, or an empty database (PINTALLY_CLICKHOUSE_DATABASE).",
            ) from error
    raise AssertionError("unreachable")


def _apply(address: ClickHouseAddress, timeout_seconds: float) -> list[str]:
    cluster = ClickhouseCluster(
        db_host=address.host,
        db_port=str(address.port),
        db_user=address.user,
        db_password=address.password,
        secure=address.secure,
        ca_cert=address.ca_file,
        verify=True,
        connect_timeout=CONNECT_SECONDS,
        query_timeout=timeout_seconds,
        migrations_table="schema_migrations",
        settings={**READS, **WRITES},
        settings_is_important=False,  # what an older server does not know it does not do
    )
    files = [each._replace(script=readable(each.script)) for each in MigrationStorage(MIGRATIONS).migrations()]
    applied = cluster.apply_migrations(address.database, files)
    names = {int(path.name.split("_")[0]): path.name for path in MIGRATIONS.glob("*.sql")}
    return [names[migration.version] for migration in applied]
