"""What `schemas.decoding.jit` promises of the functions that it compiles."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pintally.schemas.decoding import jit
from pintally.schemas.decoding.jit import (
    NUMBER,
    PLACES,
    SOURCES,
    UNSIGNED,
    WORDS,
    compiled,
    inlined,
    part,
    words_of,
)


@part
def twice(number: int) -> int:
    return 2 * number


@compiled(NUMBER, PLACES, NUMBER)
def element(places: Any, at: int) -> int:
    return int(places[at])


@compiled(UNSIGNED, WORDS, NUMBER)
def word(words: Any, at: int) -> int:
    found: int = words[at]
    return found


def of_no_file() -> Callable[[int], int]:
    namespace: dict[str, Any] = {"twice": twice}
    exec("def four_times(number):\n    return twice(twice(number))", namespace)
    function: Callable[[int], int] = namespace["four_times"]
    return function


@pytest.mark.parametrize("at", [3, -4, 2**40])
def test_an_index_outside_of_its_array_is_refused(at: int) -> None:
    places = np.array([7, 8, 9])
    assert (element(places, 0), element(places, -1)) == (7, 9)
    with pytest.raises(IndexError):
        element(places, at)


def test_what_numba_has_no_place_to_keep_is_compiled_all_the_same() -> None:
    assert compiled(NUMBER, NUMBER)(of_no_file())(3) == 12


@inlined
def first(places: Any) -> int:
    return int(places[0])


def test_a_cache_file_is_named_by_all_sources_of_the_loop() -> None:
    made_of = set()
    for path in SOURCES:
        text = path.read_text()
        if "@inlined" in text or "@compiled" in text:
            made_of |= set(re.findall(r"^from pintally\.schemas\.([\w.]+) import", text, re.MULTILINE))
    assert {"decoding.ids", "events"} <= made_of
    named = {path.resolve() for path in SOURCES}
    folder = Path(jit.__file__).resolve().parents[1]
    assert [name for name in made_of if (folder / name.replace(".", "/")).with_suffix(".py") not in named] == []


def of_an_array() -> Any:
    namespace: dict[str, Any] = {"first": first}
    exec("def first_of(places):\n    return first(places)", namespace)
    return namespace["first_of"]


@pytest.mark.parametrize("allocates", [True, False])
def test_references_to_arrays_are_not_counted_in_what_makes_none(allocates: bool) -> None:
    function: Any = compiled(NUMBER, PLACES, allocates=allocates)(of_an_array())
    assert function(np.array([3])) == 3
    [code] = function.inspect_llvm().values()
    assert ("NRT_incref(" in code or "NRT_decref(" in code) == allocates


@pytest.mark.parametrize("length", range(12))
def test_words_are_the_eight_bytes_from_each_place_on(length: int) -> None:
    text = np.arange(1, length + 1, dtype=np.uint8)
    words = words_of(text)
    expected = [int.from_bytes(text[at : at + 8].tobytes(), "little") for at in range(length - 7)]
    assert words.tolist() == [word(words, at) for at in range(len(words))] == expected
    with pytest.raises(IndexError):
        word(words, len(words))


def test_arrays_that_are_read_only_are_taken_too() -> None:
    assert word(words_of(np.frombuffer(b"abcdefgh", np.uint8)), 0) == int.from_bytes(b"abcdefgh", "little")
