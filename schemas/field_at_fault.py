"""The field at fault of a dead letter, from its reason: a closed list, so that it can be a label of a metric. Pure."""

import re
from typing import Final

# What stands before the first colon of a reason, and what else can be at fault.
FIELDS: Final = (
    "value", "event_id", "action", "pin_id", "user_id", "occurred_at", "surface", "platform", "experiments",
    "several", "no_timestamp", "ahead", "too_old", "late", "unreadable", "other",
)  # fmt: skip
# Reasons that do not begin with a field and a colon (streams/counting/outcomes.py), by how they begin.
BEGINNINGS: Final = (
    ("it has no Kafka timestamp", "no_timestamp"),
    ("late by", "late"),
)
OF_EVENT_TIME: Final = ((" leads the Kafka timestamp ", "ahead"), (" is older than the tables keep", "too_old"))
CLAUSE: Final = re.compile(r"(?:^|; )([a-z_]+): ")


def field_of(reason: str, *, unreadable: bool = False) -> str:
    """Returns one of FIELDS; `several` if more than one field is at fault. `unreadable`: it stands for a batch that
    nobody can read, as its header says.
    """
    if unreadable:
        return "unreadable"
    for beginning, field in BEGINNINGS:
        if reason.startswith(beginning):
            return field
    if reason.startswith("event time "):
        return next((field for words, field in OF_EVENT_TIME if words in reason), "other")
    named = [name for name in CLAUSE.findall(reason) if name in FIELDS]
    if len(named) > 1:
        return "several"
    return named[0] if named and reason.startswith(f"{named[0]}: ") else "other"
