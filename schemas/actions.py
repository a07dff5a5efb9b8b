"""The engagement actions and the topics that carry them."""

from enum import IntEnum
from typing import Self


class Action(IntEnum):
    """What a person did to a pin: all that depends on which actions there are is made from these rows.

    The number is what ClickHouse stores in `pin_minutes.action`. It and the column are never changed or used again.
    """

    # number, `action` field of an event, column in views and roll-ups, its heading, what an event says
    SAVE = 1, "save", "saves", "saves", "Somebody saved a pin to a board."
    CLICK = 2, "click", "clicks", "clicks", "Somebody followed a pin's link."
    CLOSEUP = 3, "closeup", "closeups", "close-ups", "Somebody opened a pin to look at it closely."

    label: str
    column: str
    heading: str
    meaning: str

    def __new__(cls, number: int, label: str = "", column: str = "", heading: str = "", meaning: str = "") -> Self:
        """Makes a row, which has it all; `Action(1)` finds one by its number."""
        action = int.__new__(cls, number)
        action._value_ = number
        action.label, action.column, action.heading, action.meaning = label, column, heading, meaning
        return action

    def topic(self, prefix: str = "") -> str:
        """The Kafka topic of this action, e.g. `engagement.save.v1`; `prefix` keeps test runs apart."""
        return f"{prefix}engagement.{self.label}.v1"


REPLAY = ".replay"


def replay_topic(topic: str) -> str:
    """The topic through which dead letters of `topic` are counted after all."""
    return f"{topic}{REPLAY}"


def kind_of(topic: str) -> str:
    """A source topic's name without its prefix: topics of one kind hold the same events."""
    names = [name for action in Action for name in (action.topic(), replay_topic(action.topic()))]
    return next((name for name in names if topic.endswith(name)), topic)


def dead_letter_topic(topic: str) -> str:
    """The topic that receives the late and invalid records of `topic`, and those of its replay topic."""
    return f"{topic.removesuffix(REPLAY)}.dlq"
