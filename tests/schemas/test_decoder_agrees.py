"""The decoder says what the models say, and so does the audit: of each value alone, and in any company."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pintally.schemas.actions import Action
from pintally.schemas.decoding import decoder
from pintally.schemas.decoding.decoded import Decoded
from pintally.schemas.decoding.values import Values
from pintally.schemas.events import MAX_ID, MAX_OCCURRED_AT, model_of
from pintally.schemas.example_files import Example, read_examples
from pintally.schemas.json_text import MAX_BYTES, MAX_DEPTH
from tests.support.agreement import assert_agree

# Time on a busy machine says nothing of the contract.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SEPARATORS = ((",", ":"), (", ", ": "))  # comma and colon: without spaces, and as Python's json.dumps writes
NAMES = ["event_id", "action", "pin_id", "user_id", "occurred_at", "surface", "platform", "experiments", "more"]
UUID = "0190b6c4-7e1a-7d3c-9a52-4f3f6f0f2b11"
GOOD = {"event_id": f'"{UUID}"', "action": '"save"', "pin_id": '"7"', "user_id": '"8"', "occurred_at": "1767225600123"}

# JSON texts, and what only looks like JSON: what lies between two commas of an object.
integers = st.one_of(
    st.integers(-3, 12),
    st.integers(-(2**65), 2**65),
    st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, 4_102_444_799_999, 4_102_444_800_000, 10**19]),
)
number_texts = st.one_of(
    integers.map(str),
    st.sampled_from(
        ["-0", "01", "+1", "1.0", "1e3", "1E400", "-", ".5", "NaN", "-Infinity", "9" * 5000, "0x1f", "1_0"]
    ),
)
strange = st.text(st.sampled_from('0189 +-_.,eE"\\[{٣０²é\n\x00\x1f📌'), max_size=37)
string_contents = st.one_of(
    number_texts,
    st.uuids().map(str),
    st.uuids().map(lambda uuid: str(uuid).upper()),
    st.uuids().map(lambda uuid: uuid.hex),
    st.tuples(st.integers(0, 35), st.sampled_from("- g0é")).map(lambda at: UUID[: at[0]] + at[1] + UUID[at[0] + 1 :]),
    strange,
    st.sampled_from(["save", "click", "Save", "", "x" * 64, "x" * 65, "📌" * 64, "\ud83d", "\udc00a"]),
)
string_texts = st.one_of(
    string_contents.map(json.dumps),
    string_contents.map(lambda text: json.dumps(text, ensure_ascii=False)),
    string_contents.map(lambda text: '"' + "".join(f"\\u{ord(c) & 0xFFFF:04x}" for c in text[:70]) + '"'),
    string_contents.map(lambda text: f'"{text}"'),
)
scalars = st.one_of(
    number_texts, string_texts, st.sampled_from(["null", "true", "false", "[]", "{}", "", "nul", "'a'"])
)
deep = st.tuples(st.sampled_from(["[", '{"a":', '"[', "[[],"]), st.integers(MAX_DEPTH - 3, MAX_DEPTH + 2)).map(
    lambda nest: nest[0] * nest[1] + "1" + {"[": "]", "{": "}", '"': '"'}[nest[0][0]] * nest[1]
)
members = st.lists(st.tuples(string_texts, st.one_of(string_texts, scalars)), max_size=4)
objects = members.map(lambda pairs: "{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}")
texts = st.one_of(scalars, objects, st.lists(scalars, max_size=3).map(lambda items: f"[{','.join(items)}]"), deep)


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """A good event, with up to three fields left out, replaced, repeated or added."""
    fields = list(GOOD.items())
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(fields)))
        field = (draw(st.sampled_from(NAMES)), draw(texts))
        fields[place : place + draw(st.integers(0, 1))] = draw(st.sampled_from([[field], [field], []]))
    space = draw(st.sampled_from(["", "", " ", "\n\t", "\x0c", "\ufeff"]))
    return (space + "{" + ",".join(f'"{name}"{space}:{text}' for name, text in fields) + "}").encode(
        errors="surrogatepass"
    )


labels = st.one_of(
    string_texts,
    st.text(max_size=66).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.integers(0, 60).map(lambda number: f'"exp_{number}"'),
)
experiments = st.lists(st.tuples(labels, st.one_of(labels, labels, texts)), max_size=35).map(
    lambda pairs: "{" + ",".join(f"{name}:{arm}" for name, arm in pairs) + "}"
)


@st.composite
def labelled(draw: st.DrawFn) -> bytes:
    """A good event with labels and experiments, good and bad ones, in any order, with any white space."""
    fields = list(GOOD.items())
    optional = (("surface", labels), ("platform", labels), ("experiments", experiments), ("experiments", experiments))
    for name, strategy in (*optional, ("more", texts)):
        if draw(st.booleans()):
            fields.append((name, draw(strategy)))
    space = draw(st.sampled_from(["", "", " ", "\n"]))
    members = (f'{space}"{name}"{space}:{space}{text}{space}' for name, text in draw(st.permutations(fields)))
    return f"{space}{{{','.join(members)}}}{space}".encode(errors="surrogatepass")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An event with some bytes overwritten, inserted or cut away."""
    value = draw(events())
    start = draw(st.integers(0, len(value)))
    end = min(len(value), start + draw(st.integers(0, 3)))
    return (
        value[:start]
        + draw(st.binary(max_size=3) | st.sampled_from([b"\xff", b"\xed\xa0\x80", b"\xc3("]))
        + value[end:]
    )


good = st.builds(
    lambda uuid, pin, user, time: json.dumps(
        {"event_id": str(uuid), "action": "save", "pin_id": pin, "user_id": user, "occurred_at": time}
    ).encode(),
    st.uuids(),
    st.integers(0, 2**64 - 1).map(str) | st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1).map(str),
    st.integers(0, 4_102_444_799_999),
)
values = st.one_of(good, events(), events(), damaged(), st.none(), st.binary(max_size=20))

# Values written alike: the required fields in order, and a tail.
OTHER_UUID = "7d0bd1a6-3f0e-4ab9-9bb3-0e6c4a7d2b11"
ODD_IDS = [
    "",
    "0",
    "00",
    "07",
    "0" * 20,
    "9" * 19,
    "1" * 20,
    "9" * 20,
    "1" * 21,
    "1" * 40,
    "-1",
    "+1",
    " 1",
    "1a",
    "1,2",
]
ODD_IDS += [str(MAX_ID + step) for step in range(-2, 3)]
ODD_TIMES = [str(MAX_OCCURRED_AT + step) for step in range(-2, 2)] + [str(10**digits) for digits in (11, 12, 13, 23)]
ODD_TIMES += [
    "9" * 13,
    "9" * 12,
    "0767225600123",
    "-767225600123",
    "1767225600.12",
    "17672256001e3",
    "",
    '"1767225600123"',
]
ODD_UUIDS = [
    UUID.upper(),
    UUID.replace("-", ""),
    UUID.replace("-", "0"),
    "-" * 36,
    UUID[1:] + "-",
    UUID[:-1],
    UUID + "0",
]
ODD_UUIDS += [UUID[:at] + odd + UUID[at + 1 :] for at in (0, 7, 8, 23, 35) for odd in "- gG0:@`/é"]
TAILS = [
    "",
    "}}",
    "0}",
    ".5}",
    "e0}",
    "} \n",
    "}\x00",
    ',"surface":"home","platform":"ios"}',
    ',"surface":null}',
    ',"surface":""}',
]
TAILS += [',"more":"\\ud83d\\udccc \\"é📌"}', ',"more":"\x00"}', ',"more":"' + "x" * 520 + '"}', ',"action":"click"}']
TAILS += [
    ',"action":"save"}',
    ',"pin_id":"9"}',
    ',"pin_\\u0069d":"9"}',
    f',"event_id":"{OTHER_UUID}"}}',
    ',"user_id":"x"}',
]
TAILS += [',"user_id":"9"}', ',"occurred_at":1}', ',"occurred_at":1767225600124}']
ODD_PARTS = {"event_id": ODD_UUIDS, "action": ["click", "Save"], "pin_id": ODD_IDS, "user_id": ODD_IDS}
ODD_PARTS |= {"occurred_at": ODD_TIMES, "tail": TAILS}

odd_parts: dict[str, st.SearchStrategy[str]] = {
    "event_id": st.uuids().map(str),
    "pin_id": st.integers(0, 2**64 + 9).map(str) | st.integers(0, 21).map(lambda digits: "1" * digits),
    "user_id": st.integers(0, 2**64 + 9).map(str) | st.integers(0, 21).map(lambda digits: "1" * digits),
    "occurred_at": st.integers(0, 4_102_444_800_009).map(str),
    "tail": st.tuples(st.sampled_from(NAMES), texts).map(lambda field: f',"{field[0]}":{field[1]}}}')
    | st.text(max_size=5),
}


def written(separators: tuple[str, str], **odd: str) -> bytes:
    """A value with these parts instead of good ones."""
    comma, colon = separators
    parts = {name: text.strip('"') for name, text in GOOD.items()} | {"tail": "}"} | odd
    return (
        f'{{"event_id"{colon}"{parts["event_id"]}"{comma}"action"{colon}"{parts["action"]}"{comma}"pin_id"{colon}'
        f'"{parts["pin_id"]}"{comma}"user_id"{colon}"{parts["user_id"]}"{comma}"occurred_at"{colon}{parts["occurred_at"]}'
        f"{parts['tail']}"
    ).encode(errors="surrogatepass")


@st.composite
def alike(draw: st.DrawFn, separators: tuple[str, str]) -> bytes:
    """A value written alike, up to two of its parts odd, sometimes damaged."""
    names = draw(st.sets(st.sampled_from(list(ODD_PARTS)), max_size=2))
    odd = {name: draw(st.sampled_from(ODD_PARTS[name]) | odd_parts.get(name, st.nothing())) for name in sorted(names)}
    value = written(separators, **odd)
    if draw(st.integers(0, 2)):
        return value
    start = draw(st.integers(0, len(value)))
    end = draw(st.integers(start, min(len(value), start + 3)) | st.just(len(value)))
    return value[:start] + draw(st.binary(max_size=3)) + value[end:]


def in_company(separators: tuple[str, str], odd: Sequence[bytes | None]) -> list[bytes | None]:
    """A chunk with each odd value twice, between more that are good."""
    good = written(separators, tail=',"surface":"home"}')
    return [each for value in odd for _ in range(2) for each in (good, value)] + [good]


def decode(values: Sequence[bytes | None], action: Action) -> Decoded:
    return decoder.decode(Values.of(values), action)


def with_more(text: str) -> bytes:
    return ("{" + ",".join(f'"{name}":{value}' for name, value in (GOOD | {"more": text}).items()) + "}").encode()


@unhurried
@given(values)
@example(with_more("[" * 10_000 + "]" * 10_000))
@example(with_more("[" * 200_000))
@example(with_more('"' + "x" * (MAX_BYTES - len(with_more('""'))) + '"'))
@example(with_more('"' + "x" * (MAX_BYTES - len(with_more('""')) + 1) + '"'))
@example(b'"' + b'\\"' * 500_000)
@example(b"[" + b"{}," * 300_000)
@example(b'{"pin_id":' + b"9" * 1_000_000 + b"}")
def test_a_value_alone_is_decoded_as_the_model_says(value: bytes | None) -> None:
    assert_agree(decode([value], Action.SAVE), [value], Action.SAVE)


@unhurried
@given(st.lists(values, max_size=12))
def test_a_chunk_is_decoded_as_the_model_says_of_each_value(chunk: list[bytes | None]) -> None:
    assert_agree(decode(chunk, Action.SAVE), chunk, Action.SAVE)


@unhurried
@given(st.lists(labelled(), min_size=1, max_size=6))
def test_labels_and_experiments_are_decoded_as_the_model_says(chunk: list[bytes]) -> None:
    assert_agree(decode(chunk, Action.SAVE), chunk, Action.SAVE)


@unhurried
@given(st.lists(good, min_size=1, max_size=6), st.lists(values, max_size=6), st.data())
def test_a_chunk_is_decoded_as_its_parts_are(
    kept: list[bytes], others: list[bytes | None], data: st.DataObject
) -> None:
    chunk = data.draw(st.permutations([*kept, *others]))
    cut = data.draw(st.integers(0, len(chunk)))
    whole, parts = decode(chunk, Action.SAVE), [decode(chunk[:cut], Action.SAVE), decode(chunk[cut:], Action.SAVE)]
    for column in ("valid", "pin_id", "occurred_at", "event_id"):
        assert np.array_equal(getattr(whole, column), np.concatenate([getattr(part, column) for part in parts]))
    shifted = {index + cut: reason for index, reason in parts[1].reasons.items()}
    assert whole.reasons == {**parts[0].reasons, **shifted}


@unhurried
@given(st.sampled_from(SEPARATORS), st.data())
def test_values_written_alike_are_decoded_as_the_model_says(separators: tuple[str, str], data: st.DataObject) -> None:
    odd = data.draw(st.lists(alike(separators) | values, min_size=1, max_size=6))
    chunk = in_company(separators, odd)
    assert_agree(decode(chunk, Action.SAVE), chunk, Action.SAVE)


@pytest.mark.parametrize("separators", SEPARATORS)
@pytest.mark.parametrize(("part", "text"), [(part, text) for part, texts in ODD_PARTS.items() for text in texts])
def test_an_odd_part_in_a_value_written_alike_is_decoded_as_the_model_says(
    separators: tuple[str, str], part: str, text: str
) -> None:
    chunk = in_company(separators, [written(separators, **{part: text})])
    assert_agree(decode(chunk, Action.SAVE), chunk, Action.SAVE)


@pytest.mark.parametrize("separators", SEPARATORS)
@pytest.mark.parametrize("tail", ["}", ',"surface":"home"}'])
def test_a_value_cut_short_is_not_completed_by_the_next(separators: tuple[str, str], tail: str) -> None:
    whole = written(separators, tail=tail)
    chunk: list[bytes] = [whole, whole]
    for cut in range(len(whole)):
        chunk += [whole, whole, whole[:cut], whole[cut:]]
    assert_agree(decode(chunk, Action.SAVE), chunk, Action.SAVE)


@pytest.mark.parametrize("separators", SEPARATORS)
@pytest.mark.parametrize("depth", [MAX_DEPTH - 2, MAX_DEPTH - 1, MAX_DEPTH])
def test_what_stands_behind_the_head_nests_as_deep_as_the_model_says(separators: tuple[str, str], depth: int) -> None:
    chunk = in_company(separators, [written(separators, tail=f',"more":{"[" * depth}{"]" * depth}}}')])
    assert_agree(decode(chunk, Action.SAVE), chunk, Action.SAVE)


@pytest.mark.parametrize("separators", SEPARATORS)
@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("name", ["pin_id", "user_id"])
def test_a_name_repeated_behind_heads_of_which_one_says_the_same(
    separators: tuple[str, str], name: str, number: int
) -> None:
    tail = f',"{name}":"{number}"}}'
    chunk = in_company(separators, [written(separators, **{name: str(other)}, tail=tail) for other in range(9)])
    assert_agree(decode(chunk, Action.SAVE), chunk, Action.SAVE)


@pytest.mark.parametrize("name", model_of[Action.SAVE].model_fields)
def test_each_field_of_the_model_is_read(name: str) -> None:
    fields = [f'"{other}":{text}' for other, text in GOOD.items() if other != name]
    odd, without = (f"{{{','.join(each)}}}".encode() for each in ([*fields, f'"{name}":[7]'], fields))
    required = model_of[Action.SAVE].model_fields[name].is_required()
    assert decode([odd, without] * 2, Action.SAVE).valid.tolist() == [False, not required] * 2


@pytest.mark.parametrize("action", Action)
def test_the_examples_are_decoded_as_the_model_says_on_every_topic(action: Action) -> None:
    chunk = [example.value for example in read_examples()]
    assert_agree(decode(chunk, action), chunk, action)


@pytest.mark.parametrize("company", [0, 1, 40])
@pytest.mark.parametrize("example", read_examples(), ids=lambda example: example.name)
def test_an_example_among_good_events_is_decoded_as_the_model_says(example: Example, company: int) -> None:
    chunk = [with_more("{}")] * company + [example.value] + [with_more('"[{"')] * company
    assert_agree(decode(chunk, Action.SAVE), chunk, Action.SAVE)


@pytest.mark.parametrize("example", read_examples(), ids=lambda example: example.name)
def test_an_example_repeated_is_decoded_as_the_model_says(example: Example) -> None:
    chunk = [example.value] * 32
    assert_agree(decode(chunk, Action.SAVE), chunk, Action.SAVE)


def test_a_long_chunk_with_every_example_in_it_is_decoded_as_the_model_says() -> None:
    chunk = [example.value for example in read_examples()]
    chunk = [value for other in chunk for value in [with_more('"é"')] * 17 + [other]]
    assert_agree(decode(chunk, Action.SAVE), chunk, Action.SAVE)


def test_halves_that_only_together_make_good_values_stay_bad() -> None:
    cut = len(b'{"event_id":"')
    chunk = [with_more("1")[:cut], with_more("1")[cut:]]
    assert not decode(chunk, Action.SAVE).valid.any()
    chunk = [with_more('"\xc3"').replace("\xc3".encode(), b"\xc3"), b"\xa9" + with_more("1")]
    assert not decode(chunk, Action.SAVE).valid.any()


def test_no_values_make_no_columns() -> None:
    assert_agree(decode([], Action.CLICK), [], Action.CLICK)
