"""Where values lie in their text, and how large they are: what is read, and what is never read."""

import os
import subprocess
import sys
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from pintally.schemas.actions import Action
from pintally.schemas.decoding.decoder import decode
from pintally.schemas.decoding.values import Values
from pintally.schemas.json_text import MAX_BYTES
from tests.support.agreement import assert_agree

ROOT = Path(__file__).parents[2]
START = b'{"event_id":"0190b6c4-7e1a-7d3c-9a52-4f3f6f0f2b11","action":"save","pin_id":"7","user_id":"8","occurred_at":1'
PLAIN = START + b"}"
FULL = START + b',"more":{"a":[1]},"surface":"home","platform":"ios","experiments":{"a":"b"}}'
TEMPTING = (b"}" * 120, b'"}' * 60, b"0" * 120, b" " * 120, b',"surface":"home"}' * 7, b"\\" * 120, b"\xff" * 120)


def agree(values: Values) -> int:
    return assert_agree(decode(values, Action.SAVE), list(values), Action.SAVE)


@pytest.mark.parametrize("behind", range(len(TEMPTING)))
def test_no_byte_behind_a_value_counts(behind: int) -> None:
    text = np.frombuffer(FULL + TEMPTING[behind], np.uint8)
    ends = np.arange(len(FULL) + 1)
    assert agree(Values(text, np.zeros_like(ends), ends)) == 1


@pytest.mark.parametrize("room", [*range(0, 120, 7), 95, 96, 97])
def test_a_value_near_the_end_of_its_text_is_read_as_elsewhere(room: int) -> None:
    text = np.frombuffer(PLAIN + FULL + PLAIN + bytes(room), np.uint8)
    lengths = np.array([len(PLAIN), len(FULL), len(PLAIN)])
    starts = np.array([0, *accumulate(lengths.tolist())][:3])
    assert agree(Values(text, starts, lengths)) == 3
    assert agree(Values(text, starts, lengths - 1)) == 0
    assert agree(Values(text, starts + 1, lengths - 1)) == 0


def test_values_may_lie_in_any_order_and_over_each_other() -> None:
    text = np.frombuffer(PLAIN + FULL, np.uint8)
    places = [(len(PLAIN), len(FULL)), (0, len(PLAIN)), (0, len(PLAIN) + 1), (len(PLAIN), len(FULL)), (3, 0), (0, -1)]
    starts, lengths = np.array(places).T.copy()
    assert agree(Values(text, starts, lengths)) == 3


@pytest.mark.parametrize("size", [8_000, 8_095, 8_096, 8_097, 8_192, 20_000, MAX_BYTES, MAX_BYTES + 1])
def test_a_large_value_is_read_in_the_middle_and_at_the_end_of_a_text(size: int) -> None:
    large = START + b',"more":"' + b"x" * (size - len(START) - 11) + b'"}'
    assert len(large) == size
    assert agree(Values.of([large, PLAIN, large])) == (3 if size <= MAX_BYTES else 1)


def test_a_chunk_with_more_experiments_than_there_was_room_for() -> None:
    arms = b",".join(b'"exp_%d":"arm_%d"' % (number, number % 5) for number in range(32))
    other = b'"\\u0061":"b"'  # the models read it, the first time
    values = [START + b',"experiments":{%b}}' % (other if number % 50 == 3 else arms) for number in range(400)]
    assert agree(Values.of(values)) == 400


@pytest.mark.parametrize(("start", "length"), [(300, 200), (50, 2_000), (10**15, 150), (-9_000, 200), (-20, 10**6)])
def test_a_place_outside_of_the_text_is_an_error_and_is_not_read(start: int, length: int) -> None:
    values = Values(np.frombuffer(PLAIN + FULL, np.uint8), np.array([0, start]), np.array([len(PLAIN), length]))
    with suppress(IndexError):
        assert not decode(values, Action.SAVE).valid[1]


HOSTILE = {
    "escapes": b'"' + b'\\"' * 50_000 + b'"',
    "characters of three bytes": b'"' + "手".encode() * 30_000 + b'"',
    "as deep as may be": b"[" * 31 + b"]" * 31,
    "far too deep": b"[" * 50_000,
    "arrays": b"[" + b"[]," * 30_000 + b"[]]",
    "a number": b"9" * 100_000,
    "spaces": b" " * 100_000 + b"1",
    "one id": b"1" + b',"pin_id":1' * 10_000,
    "names": b"1" + b"".join(b',"f%d":%d' % (number, number) for number in range(10_000)),
    "one experiment": b'1,"experiments":{"a":"0"' + b',"a":"b"' * 5_000 + b"}",
    "experiments": b"1" + b',"experiments":{"a":"b","c":"d"}' * 2_000,
    "one label": b"1" + b',"surface":"\\u0061"' * 5_000,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_large_and_hostile_values(what: str) -> None:
    agree(Values.of([START + b',"more":%b}' % HOSTILE[what], PLAIN] * 3))


def test_the_same_loop_runs_as_python_where_every_index_is_checked() -> None:
    code = "from tests.fuzz.decoder import fuzz; print(fuzz(2_000, 5, print))"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "valid" in run.stdout
