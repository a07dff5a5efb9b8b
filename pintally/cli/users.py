"""`pintally users`: who may do what in ClickHouse."""

import os
from typing import Annotated

import typer

from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.users import User, create_users, statements, users_xml
from pintally.sinks.clickhouse.users import users as users_of
from pintally.streams.settings import load_settings
from pintally.streams.settings.variables import PASSWORDS, PREFIX


def users(
    create: Annotated[
        bool, typer.Option("--create", help="Create them, or set their passwords and rights anew.")
    ] = False,
    xml: Annotated[bool, typer.Option("--xml", help="Print a file for users.d instead of SQL.")] = False,
) -> None:
    """Print or create the ClickHouse users of workers and of readers.

    pintally_worker writes the tables and reads all of them, for workers, `status` and `verify`; it cannot create or
    drop anything. pintally_reader reads the counts, and no dead letters. Their passwords are taken from the variables
    PINTALLY_WORKER_PASSWORD and PINTALLY_READER_PASSWORD; only SHA-256 hashes are printed or sent.

    --create needs a user with these rights, GRANT OPTION and CREATE USER (access_management). Servers that keep users
    in files alone take --xml.

    Example:

        export PINTALLY_WORKER_PASSWORD=... PINTALLY_READER_PASSWORD=...
        pintally users --create
    """
    settings = load_settings()
    names = [f"{PREFIX}{name}" for name in PASSWORDS]
    passwords = [os.environ.get(name) for name in names]
    made = users_of(settings.clickhouse.database, *passwords)
    if create:
        missing = [name for name, password in zip(names, passwords, strict=True) if not password]
        if missing:
            raise PintallyError(f"{' and '.join(missing)} not set", "Choose passwords and set both variables.")
        create_users(settings.clickhouse, made)
        for user in made:
            typer.echo(f"ClickHouse {settings.clickhouse}: user {user.name} has {len(user.grants)} rights")
    elif xml:
        typer.echo(users_xml(made), nl=False)
    else:
        typer.echo("\n".join(_sql(user) for user in made))


def _sql(user: User) -> str:
    return "".join(f"{statement};\n" for statement in statements(user))
