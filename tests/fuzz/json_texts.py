"""Pieces of JSON from a seed: good and bad numbers, strings, names and nested values, as text."""

from collections.abc import Sequence
from random import Random

from pintally.schemas.events import MAX_EXPERIMENTS, MAX_ID, MAX_LABEL, MAX_OCCURRED_AT, Event
from pintally.schemas.json_text import MAX_DEPTH

UUID = "0190b6c4-7e1a-7d3c-9a52-4f3f6f0f2b11"
NUMBERS = [str(bound + step) for bound in (MAX_ID, MAX_OCCURRED_AT, 10**8, 10**16, 10**19) for step in range(-2, 3)]
NUMBERS += [
    "0",
    "00",
    "01",
    "-0",
    "-1",
    "7",
    "+1",
    ".5",
    "-",
    "0x1f",
    "1_0",
    "1.0",
    "1.",
    "1e3",
    "1E+3",
    "1e-",
    "1e400",
]
NUMBERS += ["-1.5E-7", "9" * 19, "9" * 20, "9" * 21, "9" * 400, "0" * 19 + "1", "1234567", "12345678", "123456789"]
STRINGS = ["", "a", "save", "closeup", "click", "home_feed", UUID, UUID.upper(), UUID.replace("-", ""), "home\\/feed"]
STRINGS += [
    UUID[:-1] + "g",
    UUID.replace("-", "_"),
    "\\u0061",
    "\\ud83d",
    "\\ud83d\\udccc",
    'a\\"b',
    "\t",
    "\\/",
    "\\a",
]
STRINGS += ["\\u12g4", "\\u", "\\u00e9", "\\u00E9", "\x00", "\x7f", "é\\u00e9", "\\\\", "\\u0000", "a\\"]
STRINGS += [letter * (MAX_LABEL + step) for letter in ("x", "é", "手", "📌", "\\u0061", "\\n") for step in (-1, 0, 1)]
STRINGS += ["x" * 7, "x" * 8, "x" * 9, "x" * 16, "x" * 300, "\\u00e9" * 42, "\\u00e9" * 43]
LITERALS = ["null", "true", "false", "[]", "{}", "[ ]", "{ }", "[1,2]", "[[],{}]", "nul", "NaN", "'a'", '"', '"a', ""]
NAMES = [
    *Event.model_fields,
    "event_i",
    "event_id2",
    "Event_id",
    "actio",
    "action2",
    "pin_idx",
    "occurred",
    "occurred_a",
]
NAMES += [
    "occurred_atx",
    "occurred_bt",
    "experiment",
    "experimentsx",
    "experimentz",
    "surfaces",
    "platforms",
    "more",
    "",
]
NAMES += [
    "é",
    "\\u00e9",
    "p\\u0069n_id",
    "\\u0073urface",
    "\\ud83d",
    "x" * 40,
    "pin_id ",
    " pin_id",
    "a\\\\",
    'a\\"b',
    "\\/",
]
NESTS = [("[", "]"), ('{"a":', "}"), ('[{"b" : ', "}]")]
SPACES = ["", "", "", " ", "\n", "\t \r\n"]


class JsonTexts:
    """Makes texts that are JSON, and texts that look like it."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def value(self, depth: int = 0) -> str:
        """What may stand behind a name."""
        random, kind = self.random, self.random.randrange(10)
        if kind < 3:
            number = random.choice(NUMBERS)
            return f'"{number}"' if random.random() < 0.4 else number
        if kind < 6:
            return f'"{random.choice(STRINGS)}"'
        if kind == 6 or depth > 2:
            return random.choice(LITERALS)
        if kind == 7:
            levels = random.choice((1, 2, MAX_DEPTH - 3, MAX_DEPTH - 2, MAX_DEPTH - 1, MAX_DEPTH))
            opened, closed = random.choice(NESTS)
            return opened * levels + "1" + closed * levels
        if kind == 8:
            return "[" + ",".join(self.value(depth + 1) for _ in range(random.randrange(4))) + "]"
        return self.object(depth)

    def object(self, depth: int = 0) -> str:
        """Such as experiments are, or nearly; names occur twice."""
        random = self.random
        size = random.choice((0, 1, 2, 3, 5, MAX_EXPERIMENTS - 1, MAX_EXPERIMENTS, MAX_EXPERIMENTS + 1))
        plain, many = random.random() < 0.8, random.choice((9, 60))
        members = [
            (
                random.choice((f"exp_{random.randrange(many)}", f"é{random.randrange(9)}", random.choice(NAMES))),
                f'"arm{random.randrange(5)}"' if plain else self.value(depth + 1),
            )
            for _ in range(size)
        ]
        return self.joined(members)

    def joined(self, members: Sequence[tuple[str, str]]) -> str:
        """An object of these names and values, with some white space."""
        space = self.random.choice(SPACES)
        return "{" + ",".join(f'{space}"{name}"{space}:{space}{text}{space}' for name, text in members) + "}"
