"""Batches that mean ill, from a seed: values, keys, headers, timestamps, packing. Never the same, always repeatable."""

import json
import time
from collections.abc import Callable, Iterator
from random import Random
from uuid import UUID

from pintally.schemas.dead_letters import NAMES
from pintally.schemas.json_text import MAX_BYTES
from pintally.streams.kafka.fetching.record_batches import MAX_UNPACKED
from tests.fuzz.raw import Headers, Raw, RawBatch

MINUTE = 60_000
HUGE = 8 << 20  # of one record: far more than the worker fetches at once


class Hostile:
    """Makes records for the topic of one action. `stamped` is False where the broker stamps them."""

    def __init__(self, seed: int, action: str, *, stamped: bool) -> None:
        self.random = Random(f"{seed} {action}")
        self.action = action
        self.stamped = stamped
        self.ids = [self.event_id()]
        self.oddities: tuple[Callable[[], bytes | None], ...] = (
            self.mutated,
            self.mutated,
            self.mutated,
            self.truncated,
            self.spliced,
            self.nested,
            self.number,
            self.identifier,
            self.moment,
            self.wrong_type,
            self.twice,
            self.text,
            self.not_utf_8,
            self.junk,
            self.label,
        )

    def batches(self, records: int) -> Iterator[RawBatch]:
        """Batches of about `records` records in all; the last may be smaller than its kind."""
        left = records
        while left > 0:
            batch = self.batch(min(left, self.size()))
            left -= batch.record_count()
            yield batch

    def size(self) -> int:
        kind = self.random.random()
        return 1 if kind < 0.2 else self.random.randint(2, 60) if kind < 0.7 else self.random.randint(100, 3_000)

    def batch(self, size: int) -> RawBatch:
        random = self.random
        if random.random() < 0.002:
            return RawBatch([self.giant()], random.choice((0, 0, 0, 2, 3)))
        if random.random() < 0.0005:  # a few KB that unpack to more than anybody should
            return RawBatch([Raw(bytes(MAX_UNPACKED + 1), timestamp=self.timestamp())], random.choice((3, 4)))
        records = [self.record() for _ in range(size)]
        if random.random() < 0.02:  # offsets as a careless or wicked producer writes them
            records = [Raw(r.value, r.key, r.headers, r.timestamp, random.choice((0, 1, -1, 10**6))) for r in records]
            return RawBatch(records)
        return RawBatch(records, random.choice((0, 0, 0, 1, 2, 3, 4)))

    def record(self) -> Raw:
        random, kind = self.random, self.random.random()
        if kind < 0.6:
            return Raw(self.event(), b"%d" % random.randrange(1000), (), self.timestamp())
        value = self.event() if kind < 0.65 else random.choice(self.oddities)()
        return Raw(value, self.key(), self.headers(), self.timestamp())

    def giant(self) -> Raw:
        """Larger than a fetch, in one of its parts."""
        blob = self.random.randbytes(1024) * (self.random.randint(1 << 20, HUGE) // 1024)
        kind = self.random.randrange(4)
        if kind == 0:
            return Raw(blob, b"k", (), self.timestamp())
        if kind == 1:
            return Raw(self.event(), blob, (), self.timestamp())
        if kind == 2:
            return Raw(b"{", None, ((b"large", blob),), self.timestamp())
        return Raw(self.event(unknown="x" * (MAX_BYTES - 400)), b"k", (), self.timestamp())

    # Events

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def event_id(self) -> str:
        return str(UUID(int=self.random.getrandbits(128)))

    def fields(self) -> dict[str, object]:
        random = self.random
        if random.random() < 0.02:
            event_id = random.choice(self.ids)
        else:
            event_id = self.event_id()
            if random.random() < 0.01:
                self.ids = [*self.ids[-500:], event_id]
        pin = random.randrange(1, 200) if random.random() < 0.9 else random.getrandbits(64)
        age = random.randrange(0, 90 * MINUTE) if random.random() < 0.1 else random.randrange(0, 2 * MINUTE)
        return {
            "event_id": event_id,
            "action": self.action,
            "pin_id": str(pin),
            "user_id": str(random.getrandbits(64)),
            "occurred_at": self.now() - age,
        }

    def event(self, **more: object) -> bytes:
        return json.dumps(self.fields() | more).encode()

    # Values, each wrong in its own way; some are valid all the same

    def mutated(self) -> bytes:
        data = bytearray(self.event(surface="home_feed"))
        for _ in range(self.random.randint(1, 4)):
            at = self.random.randrange(len(data))
            what = self.random.randrange(3)
            if what == 0:
                data[at] = self.random.randrange(256)
            elif what == 1:
                del data[at]
            else:
                data.insert(at, self.random.choice(b'\x00"\\{}[]:,0-eE+. \xff\xed\xa0'))
        return bytes(data)

    def truncated(self) -> bytes:
        data = self.event()
        return data[: self.random.randrange(len(data))]

    def spliced(self) -> bytes:
        glue = self.random.choice((b"", b",", b"\n", b"\x00", b"[", b"]", b"\xef\xbb\xbf"))
        return self.random.choice((self.event() + glue + self.event(), glue + self.event(), self.event() + glue))

    def nested(self) -> bytes:
        depth = self.random.choice((30, 31, 32, 33, 100, 5_000, 100_000))
        opened, closed = self.random.choice(((b"[", b"]"), (b'{"a":', b"}")))
        inner = opened * depth + b"1" + closed * self.random.choice((depth, depth - 1))
        return self.random.choice((inner, self.event()[:-1] + b',"more":' + inner + b"}"))

    def number(self) -> bytes:
        digits = self.random.choice(
            (
                "NaN",
                "Infinity",
                "-Infinity",
                "-0",
                "1e400",
                "-1e400",
                "1.0",
                "1e3",
                "01",
                "+1",
                "0x1",
                "9" * 5_000,
                ".5",
                str(2**63),
                str(2**64),
                str(-(2**63) - 1),
                "1e-400",
                "0" * 100,
                "1_000",
                "\u0661\u0662",
            )
        )
        field = self.random.choice(("pin_id", "user_id", "occurred_at", "event_id", "surface", "more"))
        return self.event(**{field: 4242424242}).replace(b"4242424242", digits.encode())

    def identifier(self) -> bytes:
        name = self.event_id()
        spelling = self.random.choice(
            (
                name.upper(),
                name.replace("-", ""),
                "{" + name + "}",
                "urn:uuid:" + name,
                " " + name,
                name + "\n",
                name[:-1],
                name.replace("-", "\u2010"),
                "\uff10" + name[1:],
                name[:18] + "_" + name[19:],
                "-" * 36,
                name[:8] + name,
            )
        )
        pin = self.random.choice(
            (
                "007",
                "-1",
                "+1",
                " 1",
                "1 ",
                "",
                "1\n",
                "\u0661",
                "\uff11",
                "1e3",
                str(2**64),
                "0",
                str(2**64 - 1),
                "1" * 21,
            )
        )
        return self.event(**self.random.choice(({"event_id": spelling}, {"pin_id": pin}, {"user_id": pin})))

    def moment(self) -> bytes:
        now = self.now()
        at = self.random.choice(
            (
                -1,
                0,
                1,
                now + 5 * MINUTE - 5_000,
                now + 6 * MINUTE,
                now - 61 * MINUTE,
                now - 90 * 1440 * MINUTE,
                now // 1000,
                now * 1000,
                4_102_444_799_999,
                4_102_444_800_000,
                2**32 * 1000,
                2**53,
                2**63 - 1,
                2**63,
                -(2**63),
            )
        )
        return self.event(occurred_at=at)

    def wrong_type(self) -> bytes:
        field = self.random.choice(("event_id", "action", "pin_id", "user_id", "occurred_at", "surface", "experiments"))
        value: object = self.random.choice(
            (None, True, False, 1.5, [], {}, [[]], {"a": None}, "", "save", ["save"], {"": ""})
        )
        return json.dumps(self.random.choice((self.fields() | {field: value}, [self.fields()], value))).encode()

    def twice(self) -> bytes:
        other = self.random.choice(('"pin_id":null', '"action":"x"', '"event_id":""', '"\\u0070in_id":"3"', '"":1'))
        text = self.event()
        return self.random.choice((text[:-1] + b"," + other.encode() + b"}", b"{" + other.encode() + b"," + text[1:]))

    def text(self) -> bytes:
        length = self.random.choice((1_000, 10_000, 100_000)) if self.random.random() < 0.1 else 10
        if self.random.random() < 0.002:
            length = self.random.choice((MAX_BYTES - 400, MAX_BYTES, MAX_BYTES - 10))
        letter = self.random.choice(("x", "\u00e9", '"', "\\", "\x00", "\x7f", "\U0001f4cc"))
        return self.event(unknown=letter * (length // 2))

    def not_utf_8(self) -> bytes:
        bad = self.random.choice(
            (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\\ud800", b"\\u0000")
        )
        field = self.random.choice((b"more", b"surface", b"platform"))
        return self.event()[:-1] + b',"' + field + b'":"' + bad + b'"}'

    def junk(self) -> bytes | None:
        return self.random.choice(
            (
                None,
                b"",
                b" ",
                b"\x00",
                b"\xef\xbb\xbf",
                b"null",
                b"0",
                b'""',
                b"[]",
                b"{}",
                b"{" * 50,
                b'"' * 51,
                b"\\" * 50,
                self.random.randbytes(self.random.randrange(400)),
                b"{" + b" " * 9_999,
                b"\x00\x00\x00\x00\x01" + self.event(),
            )
        )

    def label(self) -> bytes:
        character = self.random.choice(("a", "\u00e9", "\U0001f4cc", "\u0000", "\ud800"))
        labels = {
            f"{character}{n}": character * self.random.choice((1, 64)) for n in range(self.random.choice((1, 32, 33)))
        }
        return self.event(surface=character * self.random.choice((0, 1, 64, 65)), experiments=labels)

    # Keys, headers, timestamps

    def key(self) -> bytes | None:
        if self.random.random() < 0.002:
            return self.random.randbytes(100 * 1024)
        return self.random.choice((None, b"", b"\x00", b"\xff\xfe", self.random.randbytes(30), b"17"))

    def headers(self) -> Headers:
        random = self.random
        kind = random.random()
        if kind < 0.4:
            return ()
        if kind < 0.4005:
            return [(b"h%d" % (n % 7), None if n % 3 else b"v") for n in range(random.choice((2_000, 20_000)))]
        names = (
            b"",
            b"trace",
            b"trace",
            b"\xff",
            b"caf\xe9",
            b"\xed\xa0\x80",
            b"\x00",
            *(name.encode() for name in NAMES),
        )
        values = (None, b"", b"\xff", b"x" * 100, b"-1", b"counted", random.randbytes(16))
        return [(random.choice(names), random.choice(values)) for _ in range(random.randint(1, 12))]

    def timestamp(self) -> int:
        if not self.stamped or self.random.random() < 0.9:
            return self.now()
        now = self.now()
        return self.random.choice(
            (-1, -5, 0, 1, now - 90 * MINUTE, now - 10**10, now + 5 * MINUTE - 10_000, now + MINUTE)
        )
