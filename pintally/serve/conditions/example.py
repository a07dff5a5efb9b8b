"""The reason of one dead letter, as a sentence for the page. Pure."""

import re
from typing import Final

from pintally.schemas.field_at_fault import CLAUSE
from pintally.serve.conditions.facts import ago, shortened

LATE: Final = re.compile(r"late by ([\d.e+]+) s: the minute of event time \S+ closed ([\d.e+]+) s after its end")


def example(reason: str) -> str:
    """A reason of streams/counting/outcomes.py: `For example, in one record "pin_id" must be ...`"""
    if late := LATE.match(reason):
        came, stays = ago(float(late[1])), ago(float(late[2]))
        return f"For example, one record came {came} after its minute had closed; a minute stays open for {stays}."
    named = CLAUSE.sub(lambda clause: f'{"; " if clause.start() else ""}"{clause[1]}": ', shortened(reason))
    what, *more = named.replace('": must', '" must').split("; ")
    found, *advice = more or [""]
    return " ".join([f"For example, in one record {what}{f': {found}' if found else ''}.", *map(_sentence, advice)])


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
