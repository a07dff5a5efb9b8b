"""The JSON Schema says of the examples what the contract says, where JSON Schema can say it."""

import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner

from pintally.cli import app
from pintally.schemas.actions import Action
from pintally.schemas.events import model_of
from pintally.schemas.example_files import Example, read_examples
from pintally.schemas.json_schema import json_schema

TYPES: dict[str, type] = {"object": dict, "string": str, "null": type(None)}
CHECKED = {
    "anyOf", "oneOf", "type", "const", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMaximum",
    "maxProperties", "required", "properties", "propertyNames", "additionalProperties",
}  # fmt: skip
EXPLAINS = {"$schema", "$comment", "title", "description", "default", "format"}


def allows(schema: dict[str, Any], value: Any) -> bool:
    """JSON Schema, as much of it as ours use."""
    assert schema.keys() <= CHECKED | EXPLAINS
    if "anyOf" in schema and not any(allows(branch, value) for branch in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(allows(branch, value) for branch in schema["oneOf"]) != 1:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    kind = schema.get("type")
    if kind == "integer":
        return type(value) is int and _in_range(schema, value)
    if kind is not None and not isinstance(value, TYPES[kind]):
        return False
    if isinstance(value, str):
        return _fits(schema, value)
    return not isinstance(value, dict) or _has_members(schema, value)


def _in_range(schema: dict[str, Any], number: int) -> bool:
    least, most = schema.get("minimum", number), schema.get("maximum", number)
    return bool(least <= number <= most and number < schema.get("exclusiveMaximum", number + 1))


def _fits(schema: dict[str, Any], text: str) -> bool:
    pattern = (
        schema.get("pattern", "").removesuffix("$") + r"\Z"
    )  # Python's $ allows a line feed, ECMAScript's does not
    sizes = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text))
    return sizes and ("pattern" not in schema or re.match(pattern, text) is not None)


def _has_members(schema: dict[str, Any], members: dict[str, Any]) -> bool:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    return (
        members.keys() >= set(schema.get("required", ()))
        and len(members) <= schema.get("maxProperties", len(members))
        and all(allows(schema.get("propertyNames", {}), name) for name in members)
        and all(allows(known.get(name, others), value) for name, value in members.items())
    )


def content(example: Example) -> Any:
    return json.loads(example.value.decode(), parse_int=lambda digits: int(digits[:40]))


EXAMPLES = read_examples()
# What the schema's $comment says it leaves out, and numbers that Python's json allows.
UNSAID = {"half_a_surrogate_pair", "too_large_string", "nested_33_deep", "nested_10000_deep", "nan_in", "infinity_in"}


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.valid], ids=lambda example: example.name)
def test_the_schema_allows_the_valid_examples(example: Example) -> None:
    assert allows(json_schema(example.action), content(example))
    assert allows(json_schema(), content(example))


@pytest.mark.parametrize(
    "example",
    [e for e in EXAMPLES if not e.valid and not any(part in e.name for part in UNSAID)],
    ids=lambda example: example.name,
)
def test_the_schema_refuses_the_invalid_examples_that_are_json(example: Example) -> None:
    try:
        value = content(example)
    except (ValueError, RecursionError):
        return  # no JSON, so no schema has to refuse it
    assert not allows(json_schema(example.action), value)


@pytest.mark.parametrize("action", Action)
def test_the_schema_of_an_event_names_each_field_of_its_model_and_says_what_it_must_be(action: Action) -> None:
    properties = json_schema(action)["properties"]
    assert list(properties) == list(model_of[action].model_fields)
    assert all(field["description"] for field in properties.values())
    assert properties["action"]["const"] == action.label


@pytest.mark.parametrize("action", Action)
def test_the_command_prints_the_schema_of_one_event(action: Action) -> None:
    assert json.loads(CliRunner().invoke(app, ["schema", action.label]).stdout) == json_schema(action)


def test_the_command_prints_the_schema_of_all_events() -> None:
    assert json.loads(CliRunner().invoke(app, ["schema"]).stdout) == json_schema()
