"""The three engagement actions and the topics that carry them."""

from enum import IntEnum


class Action(IntEnum):
    """What a person did to a pin. The number is what ClickHouse stores in `pin_minutes.action`."""

    SAVE = 1
    CLICK = 2
    CLOSEUP = 3

    @property
    def label(self) -> str:
        """The action as producers write it in the `action` field: `save`, `click` or `closeup`."""
        return self.name.lower()

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
