"""The examples of the contract: raw values in schemas/examples, one a file, for tests of any implementation."""

from dataclasses import dataclass
from importlib.resources import files

from pintally.schemas.actions import Action


@dataclass(frozen=True, slots=True)
class Example:
    """A value as it lies in Kafka. `name` says the case, and is the file's."""

    name: str
    value: bytes
    action: Action  # of the topic it lies on
    valid: bool


def read_examples() -> list[Example]:
    """All of them, sorted by name. One named like an action lies on its topic, all others on that of saves."""
    return [example for folder in ("invalid", "valid") for example in _read(folder)]


def _read(folder: str) -> list[Example]:
    examples = files("pintally.schemas").joinpath("examples", folder)
    found = [file for file in examples.iterdir() if file.name.endswith(".json")]
    named = sorted((file.name.removesuffix(".json"), file.read_bytes()) for file in found)
    return [Example(name, value, _topic_of(name), folder == "valid") for name, value in named]


def _topic_of(name: str) -> Action:
    return next((action for action in Action if action.label == name), Action.SAVE)
