"""Labels: which have one number, which are learnt as they are written, and what happens when there are many."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pintally.schemas.actions import Action
from pintally.schemas.decoding import decoder
from pintally.schemas.decoding.decoded import Decoded
from pintally.schemas.decoding.labels import CROWDED, MAX_LABELS, Labels
from pintally.schemas.decoding.values import Values
from tests.support.agreement import assert_agree

EVENT = '{"event_id":"0190b6c4-7e1a-7d3c-9a52-4f3f6f0f2b11","action":"save","pin_id":"7","user_id":"8","occurred_at":1'


def event(surface: str, experiments: str = "null") -> bytes:
    """Of a label and an object as they are written."""
    return f'{EVENT},"surface":"{surface}","experiments":{experiments}}}'.encode()


def decoded(values: Sequence[bytes]) -> Decoded:
    found = decoder.decode(Values.of(values), Action.SAVE)
    assert_agree(found, values, Action.SAVE)
    return found


@pytest.fixture(autouse=True)
def _new_table() -> None:
    decoder._of_this_thread.loop._labels = Labels()


def refuse(*_: object) -> None:
    raise AssertionError("this value was left to the models")


WRITTEN = ["home\\/feed", "caf\\u00e9", "\\ud83d\\udccc", "\\u0061", "a\\nb", "é\\u00e9", "\\u00e9" * 42]


@pytest.mark.parametrize("label", ["home_feed", "x" * 64, "é" * 64, "📌" * 64, *WRITTEN])
def test_events_with_good_labels_are_not_left_to_the_models(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "validate", refuse)
    values = [event(label, f'{{"{label}":"{label}"}}')] * 3
    assert decoder.decode(Values.of(values), Action.SAVE).valid.all()


def test_one_label_has_one_number_however_it_is_written() -> None:
    written = ["home/feed", "home\\/feed", "\\u0068ome/feed", "home\\u002ffeed", "home_feed"]
    found = decoded([event(label) for label in [*written, *reversed(written)]])
    numbers = found.surface.tolist()
    assert len(set(numbers)) == 2
    assert numbers[:4] == [numbers[0]] * 4


def test_a_label_is_not_taken_for_another_that_is_written_the_same() -> None:
    # `a\\/b` means the label a\/b, and `a\/b` means the label a/b.
    found = decoded([event("a\\\\/b"), event("a\\/b"), event("a/b"), event("a\\\\/b"), event("a\\/b")])
    assert [found.labels[number] for number in found.surface.tolist()] == ["a\\/b", "a/b", "a/b", "a\\/b", "a/b"]


def test_names_of_experiments_are_the_same_however_they_are_written() -> None:
    found = decoded([event("x", '{"a":"1","b":"2","\\u0061":"3"}')] * 2)
    assert found.experiments.offsets.tolist() == [0, 2, 4]


def test_what_the_models_refuse_as_a_label_is_refused_each_time() -> None:
    for written in ("\\ud83d", "\\u0061" * 65, "\\udccc\\ud83d", "\\n" * 65):
        assert not decoded([event(written), event("x", f'{{"{written}":"a"}}')] * 3).valid.any()


def test_a_chunk_with_more_labels_than_it_may_teach_agrees() -> None:
    values = [event(f"\\u0061{number}", f'{{"\\u0062{number}":"c"}}') for number in range(3 * decoder._LESSONS)]
    assert decoded(values).valid.all()
    assert decoded(values).valid.all()


def test_more_labels_than_a_table_holds_agree_and_the_next_chunk_has_another_table() -> None:
    first = decoded([event(f"label {number}") for number in range(MAX_LABELS + 100)])
    assert len(first.labels) == MAX_LABELS
    second = decoded([event(f"label {number}") for number in range(100)])
    assert second.labels is not first.labels
    assert first.labels[int(first.surface[-1])] == f"label {MAX_LABELS + 99}", "numbers hold as long as their table"
    third = decoded([event(f"label {number}") for number in range(CROWDED + 1)])
    assert third.labels is second.labels
    assert third.surface[:100].tolist() == second.surface.tolist()


def test_a_table_without_a_free_slot_ends_the_search() -> None:
    labels = decoder._of_this_thread.loop._labels
    labels.table.slots[:] = np.uint64(0xFFFF_0001)
    found = decoded([event(f"label {number}", '{"\\u0061":"b"}') for number in range(50)])
    assert found.valid.all()
    assert len(labels) == 0


def test_labels_of_every_size() -> None:
    texts = [letter * size for letter in "xé手📌" for size in range(67)]
    written = [json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in texts for ascii_only in (True, False)]
    decoded([event(label, f'{{"{label}":"{label}"}}') for label in written])


def test_threads_have_tables_of_their_own() -> None:
    values = [[event(f"{name} {number % 9}") for number in range(2_000)] for name in "abcd"]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(decoded, values * 3))
    assert all(each.valid.all() for each in found)
