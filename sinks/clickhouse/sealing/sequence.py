"""Seal numbers: a number that is allocated later is higher, whatever clocks say (C23)."""

from uuid import uuid4

from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.connection import Connection


def allocate_seal_id(connection: Connection) -> int:
    """Returns a unique number above every number that was allocated before.

    If two processes insert the same number, the later one reads both rows back and tries the next number. At most one
    of them keeps it. With replicas this server first waits for the numbers of others, and once more before it reads
    back: what waits after its own insert has all that was there before it.
    """
    while True:
        sync(connection, "seal_numbers")
        number = int(connection.one("SELECT max(seal) FROM seal_numbers")[0]) + 1
        connection.insert("seal_numbers", ("seal", "taken_by"), [(number, uuid4())])
        sync(connection, "seal_numbers")
        if connection.one("SELECT count() FROM seal_numbers WHERE seal = %(n)s", n=number)[0] == 1:
            return number
