"""The one sentence: what matters most of all that is wrong, with the command and its place in the runbook."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import pytest

from pintally.cli import COMMANDS
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.sources import Source
from pintally.serve.condition import RULES, _who_stands
from pintally.serve.document import _state, state_of
from pintally.serve.findings import Engine, Group, InClickHouse, InKafka, Look, Member, Tables, Trouble
from pintally.serve.rates import Rates
from pintally.serve.seen import Seen
from pintally.serve.state import State, Verified
from pintally.serve.workers import NOBODY
from pintally.sinks.reads.operating import Sealed
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.operations.progress import Progress

NOW = 1_800_000_000.0
TOPIC = "engagement.save.v1"
SOURCE = Source(TOPIC, UUID(int=1), 0)
RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
WEEK_MS = 7 * 86_400_000
USUAL = Outcomes(60_000, invalid=60, late=60)


@dataclass(frozen=True)
class World:
    """One source, and all that a sentence can be about. As it stands all is well."""

    log_start: int = 0
    log_end: int = 1000
    last_stable: int = 1000
    position: int | None = 1000
    behind: float = 0.4  # age of the stream time
    moved: float = 0.4  # since its last step
    members: tuple[str, ...] = ("one",)
    sealed_ago: float = 2 * 3600
    cut_ago: float = 700
    verified: Verified | None = None
    retention_ms: int = WEEK_MS
    trouble: dict[Engine, Trouble] = field(default_factory=dict)
    minute: Outcomes = USUAL  # of the last minute
    oldest: float | None = None  # age of the oldest record, if none was ever counted

    def state(self) -> State:
        """The document."""
        topic = TopicInfo(TOPIC, SOURCE.topic_id, 1, "LogAppendTime", WEEK_MS, WEEK_MS, "delete",
                          retention_ms=self.retention_ms)  # fmt: skip
        offsets = Offsets(self.log_start, self.log_end, self.last_stable)
        group = Group(tuple(Member(name, frozenset({(TOPIC, 0)})) for name in self.members))
        stream_time = 0 if self.oldest else int((NOW - self.behind) * 1000)
        counted = Outcomes(self.position or 0)
        ends = self.log_start, self.log_end, self.position
        progress = Progress(SOURCE, *ends, stream_time, counted, self.last_stable)
        sealed = Sealed(int(NOW - self.sealed_ago), 0, int(NOW - self.cut_ago))
        seen = Seen(self.position, NOW - self.moved, 0.0, NOW - self.oldest if self.oldest else 0.0)
        look = Look(1, NOW, InKafka({TOPIC: topic}, {SOURCE: offsets}, group), InClickHouse({}, sealed), (progress,),
                    {SOURCE: seen}, {SOURCE: stream_time}, self.trouble, answered=NOW)  # fmt: skip
        return state_of(look, Tables(), self._rates(), NOBODY, self.verified, version="1", lateness=3600)

    def _rates(self) -> Rates:
        rates = Rates()
        rates.add(NOW - 60, {TOPIC: Outcomes()})
        rates.add(NOW, {TOPIC: self.minute})
        return rates


STATUS = "pintally status"
WELL = World()
WAITS = {"position": 400, "moved": 90.0, "behind": 90.0}
AWAY = Trouble(NOW - 42, "nobody answers", "", refuses=False)
REFUSED = Trouble(NOW - 42, "ClickHouse has no database 'x'", "Run pintally migrate, or set another.", refuses=True)
CASES = {
    "away": (replace(WELL, trouble={"clickhouse": AWAY}), "stopped", "ClickHouse has not answered for 42 s", STATUS),
    "refused": (replace(WELL, trouble={"clickhouse": REFUSED}), "wrong", "has no database 'x'", "pintally migrate"),
    "differs": (
        replace(WELL, verified=Verified(at=NOW, records=9, differences=2)),
        "wrong",
        "2 differences",
        "pintally verify",
    ),
    "deleted": (
        replace(WELL, position=400, log_start=500),
        "wrong",
        "Kafka deleted 100 records",
        "pintally accept-loss",
    ),
    "nobody": (replace(WELL, members=(), **WAITS), "stopped", "No worker runs: 600 records wait", "pintally worker"),
    "retention": (replace(WELL, **WAITS, retention_ms=120_000), "stopped", "deletes uncounted records", STATUS),
    "blocked": (
        replace(WELL, **WAITS | {"position": 900}, last_stable=900),
        "stopped",
        "open transaction blocks",
        STATUS,
    ),
    "stalled": (replace(WELL, **WAITS), "stopped", "^The worker one does not count .*: 600 records wait", STATUS),
    "not begun": (
        replace(WELL, position=None, oldest=900.0),
        "behind",
        r"has not begun: 1,000 records wait",
        STATUS,
    ),
    "deleted before it is counted": (
        replace(WELL, position=None, oldest=900.0, retention_ms=1_000_000),
        "stopped",
        "Kafka deletes uncounted records of .* in 100 s",
        STATUS,
    ),
    "invalid": (
        replace(WELL, minute=Outcomes(1_000, invalid=3_000)),
        "wrong",
        "^75% of the records of engagement.save.v1 are invalid, 3,000 in the last minute",
        "pintally dlq list --outcome invalid",
    ),
    "late": (
        replace(WELL, minute=Outcomes(9_700, late=300)),
        "wrong",
        "^3% of the records of engagement.save.v1 come too late, 300 in the last minute",
        "pintally dlq list --outcome late",
    ),
    "behind": (replace(WELL, position=400, behind=900.0), "behind", "is 15 min behind: 600 records wait", STATUS),
    "hours": (replace(WELL, sealed_ago=5 * 3600), "behind", "Hours are final only until", STATUS),
    "cuts": (replace(WELL, cut_ago=4000), "behind", "newest cut is 67 min old", STATUS),
}


@pytest.mark.parametrize("name", CASES)
def test_each_trouble_has_its_sentence_its_command_and_its_place_in_the_runbook(name: str) -> None:
    world, level, words, command = CASES[name]
    condition = world.state().condition
    assert (condition.level, condition.command) == (level, command)
    assert re.search(words, condition.sentence), condition.sentence
    assert f"### {condition.runbook}" in RUNBOOK.lower()


@pytest.mark.parametrize("name", CASES)
def test_the_command_is_one_that_there_is(name: str) -> None:
    command = CASES[name][0].state().condition.command
    assert command is not None
    assert command.split()[1] in COMMANDS


def test_all_is_well_where_nothing_is_wrong() -> None:
    condition = WELL.state().condition
    assert condition.level == "ok"
    assert condition.sentence.startswith("All records are counted; hours are final until ")
    assert (condition.command, condition.runbook) == (None, None)


def test_what_is_read_but_not_flushed_yet_is_well_too() -> None:
    assert (
        replace(WELL, position=990, behind=0.8)
        .state()
        .condition.sentence.startswith("All records are counted, 0.8 s behind; ")
    )


def test_a_short_retention_of_which_little_is_used_is_no_danger() -> None:
    assert "deletes" not in replace(WELL, **WAITS, retention_ms=7_200_000).state().condition.sentence


def test_retention_that_is_over_is_near() -> None:
    assert "deletes uncounted records" in replace(WELL, **WAITS, retention_ms=60_000).state().condition.sentence


def test_of_two_troubles_the_one_that_matters_more_is_said() -> None:
    both = replace(CASES["hours"][0], members=(), **WAITS)
    assert "No worker runs" in both.state().condition.sentence
    assert (
        "differences" in replace(both, verified=Verified(at=NOW, records=9, differences=2)).state().condition.sentence
    )
    assert len(RULES) == 11


def test_an_idle_source_that_gets_one_record_is_not_stalled() -> None:
    world = replace(WELL, position=999, behind=86_400.0, moved=86_400.0)
    seen = Seen(999, NOW - 86_400, NOW - 1)  # it was counted to its end a second ago
    assert world.state().sources[0].state == "stalled"
    progress = Progress(SOURCE, 0, 1000, 999, int((NOW - 86_400) * 1000), Outcomes(), 1000)
    look = Look(1, NOW, None, None, (), {}, {}, {}, answered=NOW)
    assert _state(progress, seen, look, blocked=False) == "ok"


@pytest.mark.parametrize(
    ("members", "who"),
    [
        (("one", "one"), "The worker one does not count"),
        (("one", "two"), "2 workers do not count"),
        (("one", None), "Nobody counts"),
    ],
)
def test_who_does_not_count_is_said_as_far_as_it_is_known(members: tuple[str | None, ...], who: str) -> None:
    [source] = replace(WELL, **WAITS).state().sources
    assert _who_stands([source.model_copy(update={"member": member}) for member in members]) == who
