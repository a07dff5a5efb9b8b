"""Values as producers write them, and mutations of them, from a seed."""

import json
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import UUID

import numpy as np

from pintally.schemas.actions import Action
from pintally.schemas.decoding.values import Values
from pintally.schemas.example_files import read_examples
from tests.fuzz.json_texts import NAMES, JsonTexts

POOL = 400  # good events of each shape
FRAGMENTS = [bytes([byte]) for byte in b'"\\{}[],: \n\t\r\x00\x0b\x0c\x1f\x7f\x80\xbf\xff/0-+.e']
FRAGMENTS += [
    b"\xc0\x80",
    b"\xc2\x85",
    b"\xc2\xa0",
    b"\xc3",
    b"\xe0\x80\x80",
    b"\xe0\xa0\x80",
    b"\xe2\x82",
    b"\xed\x9f\xbf",
]
FRAGMENTS += [
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x90\x80\x80",
    b"\xf0\x9f\x8e",
    b"\xf4\x8f\xbf\xbf",
]
FRAGMENTS += [
    b"\xf4\x90\x80\x80",
    b"E5",
    b"1e400",
    b"null",
    b"true",
    b"false",
    b"NaN",
    b"Infinity",
    b"\\u0061",
    b"\\ud83d",
]
FRAGMENTS += [b"\\u", b"\\x", b"\\n", b'\\"', b"{}", b"[]", b"[1,]", b"{,}", b",,", b"/**/", b"  "]
STRUCTURE = b',:{}"[]'
LABELS = ["home_feed", "search", "board", "home/feed", "café", "手帳", "📌 pins", "a", "x" * 64]


class EventValues:
    """Makes values for the topic of one action. About a third of them are valid."""

    def __init__(self, seed: int, action: Action) -> None:
        self.random = Random(f"{seed} {action.label}")
        self.action = action
        self.texts = JsonTexts(self.random)
        self.good = [self._written(shape) for shape in SHAPES for _ in range(POOL)]
        self.good += [each.value for each in read_examples() if len(each.value) < 3_000] * 5
        self.mutations: tuple[Callable[[bytes], bytes], ...] = (
            self._bits, self._fragment, self._shortened, self._cut_out, self._repeated, self._spliced, self._spaced,
            self._shuffled, self._twice, self._replaced, self._added, self._escaped,
        )  # fmt: skip

    def values(self, n: int) -> list[bytes]:
        """Values, each with up to three mutations."""
        return [self.value() for _ in range(n)]

    def value(self) -> bytes:
        value = self.random.choice(self.good)
        for _ in range(self.random.choice((0, 1, 1, 1, 1, 2, 3))):
            value = self.random.choice(self.mutations)(value) if value else value
        return value

    def laid_out(self, values: list[bytes]) -> Values:
        """Values in one text: tempting bytes lie between them, or the rest of a value that is cut short."""
        random, parts, starts, lengths, at = self.random, list[bytes](), list[int](), list[int](), 0
        for value in values:
            gap = random.choice((b"", b"", b"}", b'"}', b" ", b"0", random.randbytes(random.randrange(20))))
            length = random.randrange(len(value) + 1) if random.random() < 0.1 else len(value)
            starts.append(at + len(gap))
            lengths.append(length)
            parts += [gap, value]
            at += len(gap) + len(value)
        parts.append(random.choice((b"", b"\0", bytes(100))))
        return Values(np.frombuffer(b"".join(parts), np.uint8), np.array(starts), np.array(lengths))

    # Good events

    def _event(self) -> dict[str, Any]:
        random = self.random
        return {
            "event_id": str(UUID(int=random.getrandbits(128))),
            "action": self.action.label,
            "pin_id": str(random.getrandbits(random.choice((3, 20, 60, 64)))),
            "user_id": random.choice((str, int))(random.getrandbits(64)),
            "occurred_at": random.randrange(4_102_444_800_000),
            "surface": random.choice([*LABELS, None]),
            "platform": random.choice(("ios", "android", "web")),
        }

    def _written(self, shape: str) -> bytes:
        random, event = self.random, self._event()
        if shape == "required":
            event = {name: event[name] for name in list(event)[:5]}
        if shape in ("more", "all"):
            event |= {"session": random.getrandbits(99), "client": {"os": [17, 0.5, True], "größe": "Pixel 8 📌"}}
        if shape in ("experiments", "all"):
            event["experiments"] = {f"exp_{k}": random.choice(LABELS) for k in random.sample(range(60), 6)}
        names = random.sample(list(event), len(event)) if shape in ("shuffled", "all") else list(event)
        text = json.dumps(
            {name: event[name] for name in names},
            sort_keys=shape == "sorted",
            ensure_ascii=random.random() < 0.5,
            indent=2 if shape == "indented" else None,
            separators=(", ", ": ") if shape == "spaced" else (",", ":"),
        )
        return (text.replace("/", "\\/") if shape == "slashes" else text).encode()

    # Mutations of bytes

    def _place(self, value: bytes) -> int:
        return self.random.randrange(len(value) + 1)

    def _bits(self, value: bytes) -> bytes:
        changed = bytearray(value)
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
        return bytes(changed)

    def _fragment(self, value: bytes) -> bytes:
        at = self._place(value)
        return value[:at] + self.random.choice(FRAGMENTS) + value[at + self.random.choice((0, 0, 1, 1, 2)) :]

    def _shortened(self, value: bytes) -> bytes:
        return value[: self._place(value)]

    def _cut_out(self, value: bytes) -> bytes:
        at = self._place(value)
        return value[:at] + value[at + self.random.choice((1, 1, 2, 3, 8, 20)) :]

    def _repeated(self, value: bytes) -> bytes:
        start, at = self._place(value), self._place(value)
        return value[:at] + value[start : start + self.random.choice((1, 2, 8, 30))] + value[at:]

    def _spliced(self, value: bytes) -> bytes:
        other = self.random.choice(self.good)
        return value[: self._place(value)] + other[self._place(other) :]

    def _spaced(self, value: bytes) -> bytes:
        at = self.random.choice([at for at, byte in enumerate(value) if byte in STRUCTURE] or [0])
        return (
            value[:at]
            + self.random.choice((b" ", b"\n", b"\t", b"\r", b"\x0b", b"\x00", b"  ", b"\xc2\xa0"))
            + value[at:]
        )

    # Mutations of fields

    def _members(self, value: bytes) -> list[tuple[str, str]]:
        try:
            content = json.loads(value)
        except (ValueError, RecursionError):
            return []
        if not isinstance(content, dict):
            return []
        ascii_only = self.random.random() < 0.5
        return [(json.dumps(name)[1:-1], json.dumps(each, ensure_ascii=ascii_only)) for name, each in content.items()]

    def _of(self, members: list[tuple[str, str]], value: bytes) -> bytes:
        return self.texts.joined(members).encode(errors="surrogatepass") if members else value

    def _shuffled(self, value: bytes) -> bytes:
        members = self._members(value)
        self.random.shuffle(members)
        return self._of(members, value)

    def _twice(self, value: bytes) -> bytes:
        """A name twice, with the same value or another one."""
        if members := self._members(value):
            name, text = self.random.choice(members)
            members.insert(
                self.random.randrange(len(members) + 1), (name, self.random.choice((text, self.texts.value())))
            )
        return self._of(members, value)

    def _replaced(self, value: bytes) -> bytes:
        if members := self._members(value):
            at = self.random.randrange(len(members))
            name = members[at][0] if self.random.random() < 0.5 else self.random.choice(NAMES[:8])
            text = self.texts.object() if name == "experiments" else self.texts.value()
            members[at] = (name, text)
        return self._of(members, value)

    def _added(self, value: bytes) -> bytes:
        members = self._members(value)
        members.insert(self._place(bytes(len(members))), (self.random.choice(NAMES), self.texts.value()))
        return self._of(members, value)

    def _escaped(self, value: bytes) -> bytes:
        """One character of a name or a value as an escape."""
        if members := self._members(value):
            at = self.random.randrange(len(members))
            name, text = members[at]
            if self.random.random() < 0.5 and name:
                name = self._with_escape(name, 0, len(name))
            elif text.startswith('"') and len(text) > 2:
                text = self._with_escape(text, 1, len(text) - 1)
            elif text.startswith("{") and (quotes := [i for i, letter in enumerate(text) if letter == '"']):
                start = self.random.choice(quotes)
                text = self._with_escape(text, min(start + 1, len(text) - 1), min(start + 4, len(text)))
            members[at] = (name, text)
        return self._of(members, value)

    def _with_escape(self, text: str, start: int, end: int) -> str:
        at = self.random.randrange(start, end)
        return f"{text[:at]}\\u{ord(text[at]) & 0xFFFF:04x}{text[at + 1 :]}"


SHAPES = ("required", "own", "sorted", "shuffled", "spaced", "indented", "more", "experiments", "all", "slashes")
