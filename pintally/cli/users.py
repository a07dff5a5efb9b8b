"""`pintally users`: users of ClickHouse and their rights."""

import os
from itertools import product
from typing import Annotated

import typer

from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.layout import Layout
from pintally.sinks.clickhouse.users import User, create_users, statements, users_xml
from pintally.sinks.clickhouse.users import users as users_of
from pintally.streams.settings import load_settings
from pintally.streams.settings.variables import PASSWORDS, PREFIX


def users(
    create: Annotated[
        bool, typer.Option("--create", help="Create the users, or reset their passwords and rights.")
    ] = False,
    xml: Annotated[bool, typer.Option("--xml", help="Print a file for users.d instead of SQL.")] = False,
) -> None:
    """Print or create the ClickHouse users for workers and readers.

    pintally_worker is for workers, `status` and `verify`: it reads and writes the tables, and cannot create or drop
    anything. pintally_reader is for readers: it reads the counts, and no dead letters. The passwords are taken from
    PINTALLY_WORKER_PASSWORD and PINTALLY_READER_PASSWORD; only their SHA-256 hashes are printed or sent.

    Where several servers share the pins, --create creates them on each; else run what is printed on each. Of servers
    with the same rows (PINTALLY_CLICKHOUSE_CLUSTER) one is enough: what it is told is done on all.

    --create needs a user who has all these rights with GRANT OPTION, and CREATE USER (access_management). If a server
    keeps its users in files, use --xml.

    Example:

        export PINTALLY_WORKER_PASSWORD=... PINTALLY_READER_PASSWORD=...
        pintally users --create
    """
    settings = load_settings(over_shards=True)
    names = [f"{PREFIX}{name}" for name in PASSWORDS]
    passwords = [os.environ.get(name) for name in names]
    of_worker, of_reader = passwords
    shards = settings.clickhouse.shards
    database, *others = dict.fromkeys(shard.database for shard in shards)
    address = settings.clickhouse
    made = users_of(database, of_worker, of_reader, len(shards), others, replicas=bool(address.cluster))
    if create:
        missing = [name for name, password in zip(names, passwords, strict=True) if not password]
        if missing:
            raise PintallyError(f"{' and '.join(missing)} not set", "Choose passwords and set both variables.")
        for server in {(shard.host, shard.port): shard for shard in shards}.values():
            create_users(server, made)
        for server, user in product(shards, made):
            typer.echo(f"ClickHouse {server}: user {user.name} has {len(user.grants)} rights")
    elif xml:
        typer.echo(users_xml(made), nl=False)
    else:
        layout = Layout(address.cluster, address.database)
        typer.echo("\n".join(_sql(user, layout) for user in made))


def _sql(user: User, layout: Layout) -> str:
    return "".join(f"{statement};\n" for statement in statements(user, layout=layout))
