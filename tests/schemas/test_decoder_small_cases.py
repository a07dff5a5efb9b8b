"""All of what is small, and mutated events: the decoder, the models and the audit agree.

`python -m tests.fuzz.decoder` compares as many mutated events as one likes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice, product

import numpy as np
import pytest

from pintally.schemas.actions import Action
from pintally.schemas.decoding import decoder
from pintally.schemas.decoding.decoded import Decoded
from pintally.schemas.decoding.decoder import decode
from pintally.schemas.decoding.values import Values
from tests.fuzz.decoder import fuzz
from tests.support.agreement import assert_agree

UUID = b"0190b6c4-7e1a-7d3c-9a52-4f3f6f0f2b11"
WHOLE = (
    b' {"event_id":"%b","action":"save" , "pin_id":"7","user_id":8,"occurred_at":1767225600123,'
    b'"more" : {"a":[1,-2.5e3,"x",true,{}],"\\u00e9":null},"surface":"home\\/feed","platform":null,'
    b'"experiments":{"exp_1":"on", "exp_2":"\\u006ff"}}\n' % UUID
)
ODD = b'\x00\t\n "\\/01-+.eE,:[]{}aunt\x7f\x80\xbf\xc3\xed\xff'
SECOND = (0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0)
UTF_8 = [
    bytes([first, second, *rest])
    for size in range(3)
    for first, second, *rest in product(range(0x80, 0x100), SECOND, *[(0x80, 0xC0)] * size)
]
NUMBERS = [bytes(each) for size in range(1, 5) for each in product(b"01-+.eE", repeat=size)]
BOUNDS = [10**digits for digits in range(8, 23)] + [2**bits for bits in (31, 32, 53, 63, 64)] + [4_102_444_800_000]
NEAR_BOUNDS = [b"%d" % (bound + step) for bound in BOUNDS for step in range(-2, 3)]


def event(pin: bytes = b'"7"', user: bytes = b"8", time: bytes = b"1767225600123", more: bytes = b"") -> bytes:
    fields = (UUID, pin, user, time, more)
    return b'{"event_id":"%b","action":"save","pin_id":%b,"user_id":%b,"occurred_at":%b%b}' % fields


def agree(values: Iterable[bytes]) -> int:
    """How many are valid."""
    valid, remaining = 0, iter(values)
    while chunk := list(islice(remaining, 5_000)):
        valid += assert_agree(decode(Values.of(chunk), Action.SAVE), chunk, Action.SAVE)
    return valid


@pytest.mark.parametrize("where", [b',"m":"a%bb"', b',"%bm":1', b',"surface":"%bm"', b',"m":{"%b":[]}'])
def test_utf_8_of_every_first_byte(where: bytes) -> None:
    assert agree(event(more=where % text) for text in UTF_8) > 0


def test_numbers_of_a_few_characters() -> None:
    def placed(text: bytes) -> tuple[bytes, ...]:
        members = event(more=b',"m":%b' % text), event(more=b',"m":[%b]' % text)
        return *members, event(time=text), event(pin=text), event(user=b'"%b"' % text)

    assert agree(value for text in NUMBERS for value in placed(text)) > 0


def test_integers_near_their_bounds() -> None:
    quoted = [quote + text + quote for text in NEAR_BOUNDS for quote in (b"", b'"')]
    assert agree(event(**{name: text}) for text in quoted for name in ("pin", "user", "time")) > 0


@pytest.mark.parametrize("where", [b',"m":"%b"', b',"%b":1', b',"surface":"%b"', b',"experiments":{"%b":"a"}'])
def test_escapes_of_every_letter(where: bytes) -> None:
    letters = (b"\\%bx" % bytes([letter]) for letter in range(256))
    code_points = (b"\\u" + bytes(each) for each in product(b"07adDg", repeat=4))
    assert agree(event(more=where % text) for text in chain(letters, code_points)) > 0


@pytest.mark.parametrize("name", ["event_id", "action", "pin_id", "user_id", "occurred_at", "surface", "platform"])
def test_an_escape_in_a_name_of_the_contract(name: str) -> None:
    def written() -> Iterator[bytes]:
        for at, letter in enumerate(name):
            for code in (f"{ord(letter):04x}", f"{ord(letter):04X}", f"{ord(letter) + 128:04x}"):
                escaped = f"{name[:at]}\\u{code}{name[at + 1 :]}".encode()
                yield event(more=b',"%b":[]' % escaped)
                yield event(more=b"").replace(b'"%b"' % name.encode(), b'"%b"' % escaped)

    assert agree(written()) > 0


def test_an_odd_byte_at_each_place() -> None:
    assert agree([WHOLE]) == 1
    agree(WHOLE[:at] + bytes([odd]) + WHOLE[at + 1 :] for at in range(len(WHOLE)) for odd in ODD)
    agree(WHOLE[:at] + bytes([odd]) + WHOLE[at:] for at in range(len(WHOLE) + 1) for odd in ODD)


def test_some_bytes_cut_out_at_each_place() -> None:
    agree(WHOLE[:at] + WHOLE[at + size :] for at in range(len(WHOLE)) for size in (1, 2, 3, 9, len(WHOLE)))


def test_a_difference_ends_the_comparison_and_shows_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(values: Values, action: Action) -> Decoded:
        found = decode(values, action)
        return replace(found, user_id=found.user_id | np.uint64(1 << 63))

    monkeypatch.setattr(decoder, "decode", wrong)
    with pytest.raises(AssertionError, match=r"(?s)b'.*decoded Row.*by the models Row"):
        fuzz(1_000, 1, lambda _line: None)


@pytest.mark.parametrize("seed", range(3))
def test_mutated_events(seed: int) -> None:
    counts = fuzz(4_000, seed, lambda _line: None)
    assert counts.valid > counts.cases // 5
    assert counts.left < counts.valid // 3  # else these cases say little about the loop
