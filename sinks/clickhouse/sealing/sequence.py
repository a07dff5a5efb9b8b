"""Seal numbers: who takes one later has the higher one, whatever any clock says (C23)."""

from uuid import uuid4

from pintally.sinks.clickhouse.connection import Connection


def allocate_seal_id(connection: Connection) -> int:
    """A number that nobody else has and that is above every number whose taking had ended before.

    Whoever inserts the same number later sees both rows when reading back and takes another; at most one keeps it.
    """
    while True:
        number = int(connection.one("SELECT max(seal) FROM seal_numbers")[0]) + 1
        connection.insert("seal_numbers", ("seal", "taken_by"), [(number, uuid4())])
        if connection.one("SELECT count() FROM seal_numbers WHERE seal = %(n)s", n=number)[0] == 1:
            return number
