"""A reader in processes that were forked, as loaders of training data do: each gets answers to its own questions."""

import json
import subprocess
import sys

import pytest

from pintally.features import ClickHouseAddress

pytestmark = pytest.mark.xdist_group("features")

# The parent has asked, so that its connection is open. Then one child asks alone, and then all ask at once.
SCRIPT = """
import json, multiprocessing, sys
from pintally.features import ClickHouseAddress, FeatureReader

fork = multiprocessing.get_context("fork")
reader = FeatureReader(ClickHouseAddress(**json.loads(sys.argv[1])))
PINS, answers = (7, 8, 9, 10), fork.Queue()


def ask(pin):
    return reader.get_online_features([pin], ["closeups_24h", "clicks_24h", "saves_24h"]).iloc[0, :4].tolist()


def port():
    return reader._servers._connections[0]._client.connection.socket.getsockname()[1]


def child(pin):
    found = [ask(pin) for _ in range(3)]
    answers.put((pin, found, port()))
    reader.close()


def run(pins):
    children = [fork.Process(target=child, args=(pin,)) for pin in pins]
    for each in children:
        each.start()
    found = [answers.get(timeout=30) for _ in children]
    for each in children:
        each.join()
    return found


truth = {pin: ask(pin) for pin in PINS}
before, each = port(), [*run(PINS[:1]), *run(PINS)]
after = ask(7), port()
print(json.dumps({
    "distinct": len(set(map(tuple, truth.values()))),
    "wrong": sum(answer != truth[pin] for pin, found, _ in each for answer in found),
    "shared": sum(used == before for _, _, used in each),
    "parent goes on": after == (truth[7], before),
}))
"""


@pytest.mark.timeout(120)
def test_who_was_forked_asks_on_a_connection_of_its_own(known: ClickHouseAddress) -> None:
    address = json.dumps({name: getattr(known, name) for name in ("host", "port", "http_port", "user", "database")})
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, address], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {"distinct": 4, "wrong": 0, "shared": 0, "parent goes on": True}
