"""README's query over HTTP, read as languages read it that have doubles alone."""

import json
import re
import shlex
from urllib.request import urlopen

from pintally.streams.settings import Settings
from tests.sinks.sealing import TODAY, write
from tests.support.cells import cells
from tests.support.readme import README

PIN = 1_000_000_000_000_649_359  # no double is this number


def as_doubles(line: str) -> dict[str, object]:
    """A JSON object as JavaScript reads it."""
    return dict(json.loads(line, parse_int=float))


def test_the_ids_of_the_example_survive_a_parser_that_knows_doubles_alone(stack: Settings) -> None:
    write(stack.clickhouse, cells((1, 0, TODAY, 1, TODAY, PIN, 3, 10)))
    [command] = re.findall(r"^curl .*$", README.read_text(), re.MULTILINE)
    _, url, flag, sql = shlex.split(command)
    assert flag == "--data"
    url = url.replace("127.0.0.1:8123", f"{stack.clickhouse.host}:{stack.clickhouse.http_port}")
    url = url.replace("database=pintally", f"database={stack.clickhouse.database}")
    url += f"&user={stack.clickhouse.user}&password={stack.clickhouse.password.get_secret_value()}"
    with urlopen(url, data=sql.encode(), timeout=30) as answer:
        rows = [as_doubles(line) for line in answer.read().decode().splitlines()]
    assert [(row["pin_id"], row["saves"]) for row in rows] == [(str(PIN), "3")]
    assert as_doubles(f'{{"pin_id": {PIN}}}')["pin_id"] != PIN  # without the quotes
