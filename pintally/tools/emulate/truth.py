"""What must be counted of the records sent: how many met each outcome, and the counts of every cell."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.label_column import UNKNOWN
from pintally.schemas.outcomes import Outcome
from pintally.schemas.rules import HOUR_MS, MINUTE_MS, Rules
from pintally.tools.emulate.arms import ARMS, EXPERIMENT, arms_of
from pintally.tools.emulate.bots import is_bot
from pintally.tools.emulate.pins import Pins
from pintally.tools.emulate.placed import NOWHERE, Part, Placed, TrustedOfPartition
from pintally.tools.emulate.sessions import PLATFORMS, SURFACES
from pintally.tools.emulate.sums import Sums
from pintally.tools.emulate.traffic import Slab
from pintally.tools.emulate.truth_busy import Busy, UserHours
from pintally.tools.emulate.truth_users import Group, Numbers, Users

MOST_PINS = 1 << 28
Cell = tuple[Action, int, int]  # action, start of the minute in seconds since 1970, pin id
LabelledCell = tuple[Action, int, int, str, str]  # and surface, platform
ArmHour = tuple[str, Action, int]  # arm of EXPERIMENT, action, start of the hour in seconds since 1970
HOUR_SECONDS = HOUR_MS // 1000
# A cell in 63 bits: minutes from a year before the first to a year after take 21, pins 28, actions 8, labels 3 each.
LABEL_BITS, ACTION_BITS, PIN_BITS, YEAR = 3, 8, 28, 1 << 20


class Counts(NamedTuple):
    """The counts of a cell."""

    events: int
    trusted: int | None  # None: not known


class Truth:
    """Grows with every slab that Kafka has acknowledged."""

    def __init__(
        self, pins: Pins, topics: Mapping[Action, str], partitions: Mapping[Action, int], rules: Rules | None = None
    ) -> None:
        self._pins = pins
        self._topics = topics
        self._partitions = partitions
        self._rules = rules or Rules()
        self.outcomes: Counter[tuple[str, int, Outcome]] = Counter()  # (topic, partition, outcome) -> records
        self.arms: Counter[ArmHour] = Counter()  # counted events of the experiment
        self.is_placed = True  # whether it is known of all records where they are: else nobody knows what is trusted
        self._origin: int | None = None  # the lowest minute that fits in a key
        self._events, self._trusted = Sums(), Sums()
        self._users = Users() if self._rules.user_key else None
        self._hours = UserHours()  # of users, if these are counted
        self._logs: dict[tuple[Action, int], TrustedOfPartition] = {}

    def add(self, slab: Slab, placed: Placed | None = None) -> None:
        """Take in records that were sent, and where they are."""
        self.is_placed = self.is_placed and placed is not None and bool((placed.offsets != NOWHERE).all())
        cells, counted = self._cells(slab), slab.outcome == Outcome.COUNTED
        for action, topic in self._topics.items():
            of_topic = np.flatnonzero(slab.action == action)
            partition = self._pins.partitions(slab.pin[of_topic], self._partitions[action])
            pairs, counts = np.unique(partition * 8 + slab.outcome[of_topic], return_counts=True)
            for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
                self.outcomes[topic, pair // 8, Outcome(pair % 8)] += count
            if placed is not None and self.is_placed:
                for number in np.unique(partition).tolist():
                    self._trust((action, number), slab, placed, of_topic[partition == number], cells)
        self._events.add(cells[counted])
        self._add_arms(slab, counted)
        if self._users is not None:
            self._users.add(slab, counted, breakdown=self._rules.breakdown)
            self._hours.add(slab, counted)

    def _add_arms(self, slab: Slab, counted: NDArray[np.bool_]) -> None:
        """Count the records that name an arm."""
        arms = arms_of(slab.user)
        at = np.flatnonzero(counted & (arms > 0))
        of = np.stack([slab.action[at], arms[at], slab.occurred[at] // HOUR_MS])
        keys, counts = np.unique(of, axis=1, return_counts=True)
        for (action, arm, hour), count in zip(keys.T.tolist(), counts.tolist(), strict=True):
            self.arms[ARMS[arm], Action(action), hour * HOUR_SECONDS] += count

    def _trust(
        self, log: tuple[Action, int], slab: Slab, placed: Placed, at: NDArray[np.int64], cells: NDArray[np.int64]
    ) -> None:
        own = self._logs.setdefault(log, TrustedOfPartition(self._rules))
        times, kept = own.stream_times(placed.timestamps[at]), slab.outcome[at] == Outcome.COUNTED
        at = at[kept]
        part = Part(placed.offsets[at], times[kept], slab.pin[at], slab.user[at], cells[at])
        for trusted in own.add(part):
            self._trusted.add(trusted)

    def _cells(self, slab: Slab) -> NDArray[np.int64]:
        """The cell of each record, as a number."""
        minute = slab.occurred // MINUTE_MS
        if self._origin is None and len(minute):
            self._origin = int(minute[0]) - YEAR
        keys: NDArray[np.int64] = minute - (self._origin or 0)
        breakdown = self._rules.breakdown
        for bits, column in (
            (PIN_BITS, slab.pin),
            (ACTION_BITS, slab.action),
            (LABEL_BITS, slab.surface * breakdown),
            (LABEL_BITS, slab.platform * breakdown),
        ):
            keys = keys << bits | column.astype(np.int64)
        return keys

    def totals(self) -> dict[Outcome, int]:
        """Records by outcome, all four."""
        return {outcome: sum(n for (_, _, each), n in self.outcomes.items() if each is outcome) for outcome in Outcome}

    @property
    def records(self) -> int:
        """Records taken in."""
        return self.outcomes.total()

    def cells(self) -> dict[Cell, int]:
        """The count of each (action, minute, pin), over all labels, partitions and slices."""
        found: Counter[Cell] = Counter()
        for (action, minute, pin, _, _), counts in self.labelled().items():
            found[action, minute, pin] += counts.events
        return dict(found)

    def labelled(self) -> dict[LabelledCell, Counts]:
        """The counts of each (action, minute, pin, surface, platform), over all partitions and slices."""
        trusted = Counter(self._trusted.by_key())
        for log in self._logs.values():
            trusted.update(log.trusted().tolist())
        ids = self._pins.ids.tolist()
        return {
            self._named(key, ids): Counts(count, trusted[key] if self.is_placed else None)
            for key, count in self._events.by_key().items()
        }

    def _named(self, key: int, ids: list[int]) -> LabelledCell:
        key, platform = divmod(key, 1 << LABEL_BITS)
        key, surface = divmod(key, 1 << LABEL_BITS)
        key, action = divmod(key, 1 << ACTION_BITS)
        minute, pin = divmod(key, 1 << PIN_BITS)
        labels = (UNKNOWN, *SURFACES)[surface], (UNKNOWN, *PLATFORMS)[platform]
        return Action(action), (minute + (self._origin or 0)) * 60, ids[pin], *labels

    def users(self) -> dict[Group, Numbers]:
        """The numbers of users of each pin and hour, by surface too; nothing if the rules do not count users."""
        return {} if self._users is None else self._users.numbers()

    def busy(self) -> list[Busy]:
        """The users that did much in an hour; nobody if the rules do not count users."""
        return list(self._hours.busy())

    def users_of_arms(self) -> dict[str, int]:
        """The number of users of each arm of EXPERIMENT; nothing if the rules do not count users."""
        return {} if self._users is None else self._users.of_arms()

    def lines(self) -> Iterator[str]:
        """JSON Lines: one line an outcome of a partition, then one an arm, action and hour, one an arm with its users,
        then one a cell, then one a group of users, then one a user that did much in an hour.

        Of groups, the surface null stands for all surfaces.
        """
        for (topic, partition, outcome), records in sorted(self.outcomes.items()):
            yield json.dumps(
                {"topic": topic, "partition": partition, "outcome": outcome.name.lower(), "records": records}
            )
        for (arm, action, hour), events in sorted(self.arms.items()):
            named = {"experiment": EXPERIMENT, "arm": arm, "action": action.label, "hour": hour}
            yield json.dumps(named | {"events": events})
        for arm, users in self.users_of_arms().items():
            yield json.dumps({"experiment": EXPERIMENT, "arm": arm, "users_of_arm": users})
        for (action, minute, pin, surface, platform), counts in sorted(self.labelled().items()):
            cell = {"action": action.label, "minute": minute, "pin_id": str(pin)}
            labels = {"surface": surface, "platform": platform}
            yield json.dumps(cell | labels | {"count": counts.events, "trusted": counts.trusted})
        for group, numbers in self.users().items():
            shown_on = None if group.surface is None else (UNKNOWN, *SURFACES)[group.surface]
            told = {"hour": group.hour, "pin_id": str(int(self._pins.ids[group.pin])), "surface": shown_on}
            by_action = {f"{action.column}_users": users for action, users in numbers.by_action.items()}
            yield json.dumps(told | {"users": numbers.users} | by_action)
        for each in self.busy():
            did = {"user_id": str(each.user), "events": each.events, "pins": each.pins}
            yield json.dumps({"hour": each.hour, **did, "is_bot": is_bot(each.user)})

    def write(self, path: Path) -> None:
        """Write `lines` to a file, which is there once all of them are."""
        part = path.with_name(f"{path.name}.part")
        with part.open("w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in self.lines())
        part.replace(path)
