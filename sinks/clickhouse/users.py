"""Two users with no more rights than they need: one for workers and one for readers. Grants for SQL and for users.d."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from xml.sax.saxutils import escape

from pintally.schemas.cells import CELL_TABLES
from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.engines import layout_at
from pintally.sinks.clickhouse.errors import RIGHTS
from pintally.sinks.clickhouse.layout import ONE_SERVER, Layout
from pintally.sinks.clickhouse.scripts import tables, views_of_readers

COUNTED = tuple(kind.table for kind in CELL_TABLES)
WRITTEN = tables()  # by workers: all that migrate does not write itself
DELETED_FROM = (*COUNTED, "ingest_ledger", "dead_letters")  # rows of a lower epoch are deleted, never altered
# Readers read the views of scripts.READ, which run with the rights of whoever asks (SQL SECURITY INVOKER), so that they
# outlive the account that made them. Hence the tables behind them. None of these holds anything of a person.
KNOWN_WHEN = (
    "cuts", "feature_seals", "pin_tiles", "pin_hours_by_pin", "pin_corrections", "pin_base", "hour_tops", "tile_tops"
)  # fmt: skip
BREAKDOWNS = ("pin_hour_breakdowns", "pin_day_breakdowns")
USERS = ("user_seals", "pin_hour_users", "pin_day_users")  # numbers alone; sets and members are of persons
EXPERIMENTS = ("experiment_cells", "experiment_hours", "arm_day_users", "arm_day_seals")
BEHIND_VIEWS = ("sealed", "pin_minutes", "pin_hours", "pin_days", *BREAKDOWNS, *EXPERIMENTS, *USERS, *KNOWN_WHEN)
# On replicas: to wait for rows of others (`barrier`), and to compare what each of them has (`every_replica`).
OF_REPLICAS = (
    "SYSTEM SYNC REPLICA ON `{}`.*", "SELECT ON system.replicas", "CREATE TEMPORARY TABLE ON *.*", "REMOTE ON *.*"
)  # fmt: skip
MADE_BY_SQL = """
SELECT name FROM system.users
WHERE name IN ('pintally_worker', 'pintally_reader') AND storage NOT IN ('users_xml', 'ldap')
"""


@dataclass(frozen=True, slots=True)
class User:
    """A user of ClickHouse: `grants` are what stands between GRANT and TO."""

    name: str
    grants: tuple[str, ...]
    password_sha256: str | None = None  # hexadecimal; None: to be filled in by a person


def users(
    database: str,
    worker_password: str | None = None,
    reader_password: str | None = None,
    shards: int = 1,
    others: Sequence[str] = (),
    *,
    replicas: bool = False,
) -> tuple[User, User]:
    """Returns the user for workers, `verify` and `status`, and the user for readers.

    Where several shards share the pins, readers look which one each of them is; some may be in `others`, databases of
    other names. `replicas`: other servers have the same rows, and workers wait for them.
    """
    databases = (database, *others)
    worker = tuple(
        right
        for database in databases
        for right in (
            f"SELECT ON `{database}`.*",
            *(f"INSERT ON `{database}`.{table}" for table in WRITTEN),
            *(f"ALTER DELETE ON `{database}`.{table}" for table in DELETED_FROM),
            *(grant.format(database) for grant in OF_REPLICAS if replicas),
        )
    )
    read = (*views_of_readers(), *BEHIND_VIEWS, *(("shard_numbers",) if shards > 1 else ()))
    reader = tuple(f"SELECT ON `{database}`.{name}" for database in databases for name in read)
    return (
        User("pintally_worker", worker, _hash(worker_password)),
        User("pintally_reader", reader, _hash(reader_password)),
    )


def statements(user: User, password: str = "'FILL_IN_A_SHA256'", layout: Layout = ONE_SERVER) -> Iterator[str]:
    """Returns SQL that creates the user with these rights alone; safe to repeat while the user asks.

    One statement replaces all rights: between a REVOKE and a GRANT queries would be refused.
    """
    known = f"'{user.password_sha256}'" if user.password_sha256 else password
    everywhere = layout.on_cluster
    yield f"CREATE USER IF NOT EXISTS {user.name}{everywhere} IDENTIFIED WITH sha256_hash BY {known}"
    if user.password_sha256:
        yield f"ALTER USER {user.name}{everywhere} IDENTIFIED WITH sha256_hash BY {known}"
    grants = ",\n    ".join(user.grants)
    yield f"GRANT{everywhere} {grants}\n    TO {user.name} WITH REPLACE OPTION"


def users_xml(made: Sequence[User]) -> str:
    """Returns a file for users.d, for servers that keep users in files."""
    return "<clickhouse>\n  <users>\n" + "".join(map(_user_xml, made)) + "  </users>\n</clickhouse>\n"


def create_users(address: ClickHouseAddress, made: Sequence[User], timeout_seconds: float = 30) -> None:
    """Create the users. The user of `address` must have their rights with GRANT OPTION. Raises SinkError."""
    layout = layout_at(address, timeout_seconds)
    for user in made:
        for statement in statements(user, layout=layout):
            with Connection(address, timeout_seconds, database="") as connection:
                connection.execute(statement)


def grant_again(address: ClickHouseAddress, timeout_seconds: float = 30) -> None:
    """Give the users, where SQL made them, their rights to what is new, if `address`'s user may do so.

    Nothing is taken away: a worker that runs meanwhile lacks no right at any moment. Raises SinkUnavailable, SinkError.
    """
    with Connection(address, timeout_seconds) as connection:
        sees = connection.rows("CHECK GRANT SHOW USERS ON *.*") == [(1,)]
        made = {name for (name,) in connection.rows(MADE_BY_SQL)} if sees else set()
    everywhere = layout_at(address, timeout_seconds).on_cluster
    for user in users(address.database, replicas=bool(address.cluster)):
        if user.name in made:
            try:
                with Connection(address, timeout_seconds) as connection:
                    connection.execute(f"GRANT{everywhere} {', '.join(user.grants)} TO {user.name}")
            except SinkError as error:
                if getattr(error.__cause__, "code", None) not in RIGHTS:
                    raise  # else it is an administrator's: workers say at their start what they lack


def _hash(password: str | None) -> str | None:
    return sha256(password.encode()).hexdigest() if password else None


def _user_xml(user: User) -> str:
    grants = "".join(f"        <query>GRANT {escape(grant)}</query>\n" for grant in user.grants)
    return (
        f"    <{user.name}>\n"
        f"      <password_sha256_hex>{user.password_sha256 or 'FILL_IN_A_SHA256'}</password_sha256_hex>\n"
        "      <networks><ip>::/0</ip></networks>\n"
        "      <profile>default</profile>\n"
        "      <quota>default</quota>\n"
        f"      <grants>\n{grants}      </grants>\n"
        f"    </{user.name}>\n"
    )
