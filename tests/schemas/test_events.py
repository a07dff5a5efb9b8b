"""The contract, case by case."""

import json
import re
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import ValidationError

from pintally.schemas.actions import Action
from pintally.schemas.dead_letters import NAMES
from pintally.schemas.events import ContractError, Event, model_of, validate
from pintally.schemas.example_files import Example, read_examples
from pintally.schemas.json_text import MAX_BYTES

EXAMPLES = read_examples()
DOCUMENT = Path(__file__).parents[2] / "docs" / "contract.md"
GOOD = next(example.value for example in EXAMPLES if example.name == "only_required_fields")


def reason(value: bytes | None, action: Action = Action.SAVE) -> str:
    with pytest.raises(ContractError) as refused:
        validate(value, action)
    return refused.value.reason


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.valid], ids=lambda example: example.name)
def test_valid_examples_are_valid(example: Example) -> None:
    assert validate(example.value, example.action).action == example.action.label


def test_of_too_many_members_none_is_looked_at() -> None:
    """A value of 1 MiB may hold 100,000, and a fault for each would take as long as 100,000 valid events."""
    event = json.loads(GOOD) | {"experiments": {str(number): 1 for number in range(50_000)}}
    assert reason(json.dumps(event).encode()).startswith("experiments: must be an object of at most 32 strings")
    with pytest.raises(ValidationError) as refused:
        model_of[Action.SAVE].model_validate(event)
    assert refused.value.error_count() == 1


@pytest.mark.parametrize("example", [e for e in EXAMPLES if not e.valid], ids=lambda example: example.name)
def test_invalid_examples_are_refused_with_a_short_reason_that_names_the_field(example: Example) -> None:
    text = reason(example.value, example.action)
    assert text.split(":")[0] in {"value", *Event.model_fields}
    assert len(text) <= 200
    fields = [field for field in Event.model_fields if example.name.startswith(f"{field}_")]
    assert [text.split(":")[0]] == fields or not fields


def test_each_field_of_an_event_is_read() -> None:
    value = next(example.value for example in EXAMPLES if example.name == "save")
    assert validate(value, Action.SAVE) == model_of[Action.SAVE](
        event_id=UUID("0190b6c4-7e1a-7d3c-9a52-4f3f6f0f2b11"),
        action="save",
        pin_id=684125218362480741,
        user_id=912038475610293847,
        occurred_at=1767225600123,
        surface="home_feed",
        platform="ios",
        experiments={"closeup_ranker_v7": "treatment", "save_button": "control"},
    )


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.valid], ids=lambda example: example.name)
def test_an_event_written_by_its_model_is_read_back_the_same(example: Example) -> None:
    event = validate(example.value, example.action)
    assert validate(event.model_dump_json().encode(), example.action) == event


def test_ids_are_written_as_strings_because_other_languages_round_large_numbers() -> None:
    event = validate(next(example.value for example in EXAMPLES if example.name == "ids_as_integers"), Action.SAVE)
    assert '"pin_id":"684125218362480741"' in event.model_dump_json()


def test_an_event_is_refused_on_the_topic_of_another_action() -> None:
    assert validate(GOOD, Action.SAVE).action == "save"
    assert reason(GOOD, Action.CLICK) == 'action: must be "click", as the topic says'
    assert reason(GOOD, Action.CLOSEUP) == 'action: must be "closeup", as the topic says'


def test_a_tombstone_is_refused() -> None:
    assert reason(None) == "value: missing (a tombstone)"


def test_a_value_of_the_largest_size_is_valid_and_one_byte_more_is_not() -> None:
    assert validate(GOOD.ljust(MAX_BYTES), Action.SAVE) == validate(GOOD, Action.SAVE)
    assert reason(GOOD.ljust(MAX_BYTES + 1)) == "value: must be at most 1048576 bytes"


def test_all_fields_at_fault_are_named_once_in_the_order_of_the_contract() -> None:
    value = b'{"occurred_at": 1.5, "experiments": {"a": 1, "b": 2}, "action": "save", "pin_id": "1"}'
    assert [clause.split(":")[0] for clause in reason(value).split("; ")] == [
        "event_id", "user_id", "occurred_at", "experiments",
    ]  # fmt: skip


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        setattr(validate(GOOD, Action.SAVE), "pin_id", 1)  # noqa: B010 - an assignment would not pass mypy


def test_the_events_in_the_document_are_the_examples() -> None:
    shown = re.findall(r"\]\(([^)]+\.json)\):\n\n```json\n(.*?)\n```", DOCUMENT.read_text(), re.DOTALL)
    assert len(shown) == DOCUMENT.read_text().count("```json")
    assert shown == [(path, (DOCUMENT.parent / path).read_text().strip()) for path, _ in shown]


def test_the_document_says_of_each_field_what_the_model_says() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert {name: required == "yes" for name, required, _ in rows} == {
        name: field.is_required() for name, field in Event.model_fields.items()
    }
    assert all(rule == Event.model_fields[name].description for name, _, rule in rows if name != "action")


def test_the_document_names_the_headers_of_dead_letters() -> None:
    assert tuple(re.findall(r"^\| `([\w]+\.[\w.]+)` \|", DOCUMENT.read_text(), re.MULTILINE))[-len(NAMES) :] == NAMES
