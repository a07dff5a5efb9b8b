"""The one sentence: what matters most of all that is wrong, with the command and its place in the runbook."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

import pytest

from pintally.cli import COMMANDS
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import SourceLedger, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.serve.condition import FOLLOWS, RULES, since_when
from pintally.serve.conditions.engines import STEPS
from pintally.serve.conditions.example import example
from pintally.serve.conditions.facts import Facts
from pintally.serve.conditions.producers import faulty
from pintally.serve.conditions.sources import who_stands
from pintally.serve.document import Beside, Configured, _state, state_of
from pintally.serve.findings import Engine, Group, InClickHouse, InKafka, Look, Member, Tables, Trouble
from pintally.serve.rates import Rates
from pintally.serve.seen import Ends, Seen
from pintally.serve.state import Condition, LettersRefused, SourceState, State, Step, Workers, WorkerState
from pintally.serve.verified import Runs
from pintally.sinks.reads.operating import LetterKind, Sealed
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.operations.progress import Progress
from pintally.streams.worker.ended import Ended
from pintally.streams.worker.measured import STEPS as FLUSH_STEPS

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
    runs: dict[str, int] = field(default_factory=dict)  # differences that the last verify of a scope found
    retention_ms: int = WEEK_MS
    retention_bytes: int = -1
    deleted: int = 0  # records in the last ten minutes, in which 1,000 came
    trouble: dict[Engine, Trouble] = field(default_factory=dict)
    minute: Outcomes = USUAL  # of the last minute
    oldest: float | None = None  # age of the oldest record, if none was ever counted
    known: tuple[WorkerState, ...] = ()  # by their addresses
    fresh: float | None = None  # freshness, 99%
    steps: tuple[Step, ...] = ()
    letters: tuple[LetterKind, ...] = ()
    grown: dict[tuple[str, str, str], int] = field(default_factory=dict)
    ended: tuple[Ended, ...] = ()
    rules: Rules = field(default_factory=Rules)  # of the ledger
    newer_rules: bool = False  # they have a field that this version does not know
    before: tuple[Condition, ...] = ()

    def state(self) -> State:
        """The document."""
        topic = TopicInfo(TOPIC, SOURCE.topic_id, 1, "LogAppendTime", WEEK_MS, WEEK_MS, "delete",
                          retention_ms=self.retention_ms, retention_bytes=self.retention_bytes)  # fmt: skip
        offsets = Offsets(self.log_start, self.log_end, self.last_stable)
        group = Group(tuple(Member(name, frozenset({(TOPIC, 0)})) for name in self.members))
        stream_time = 0 if self.oldest else int((NOW - self.behind) * 1000)
        counted = Outcomes(self.position or 0)
        ends = self.log_start, self.log_end, self.position
        progress = Progress(SOURCE, *ends, stream_time, counted, self.last_stable)
        sealed = Sealed(int(NOW - self.sealed_ago), 0, int(NOW - self.cut_ago))
        seen = Seen(self.position, NOW - self.moved, 0.0, NOW - self.oldest if self.oldest else 0.0,
                    (Ends(NOW - 600, self.log_start - self.deleted, self.log_end - 1_000),))  # fmt: skip
        look = Look(1, NOW, InKafka({TOPIC: topic}, {SOURCE: offsets}, group), self._ledger(sealed), (progress,),
                    {SOURCE: seen}, {SOURCE: stream_time}, self.trouble, answered=NOW)  # fmt: skip
        tables = Tables(letters=self.letters, grown=self.grown)
        workers = Workers(known=list(self.known), freshness_p50=None, freshness_p99=self.fresh, steps=list(self.steps))
        beside = Beside(tables, self._rates(), workers, self._runs(), self.ended, self.before)
        return state_of(look, beside, Configured("1", 3600, "broker:9092"))

    def condition(self) -> Condition:
        """What stands first."""
        return self.state().condition

    def others(self) -> list[str]:
        """The kinds of what stands below it."""
        return [each.kind for each in self.state().others]

    def _ledger(self, sealed: Sealed) -> InClickHouse:
        unknown = {"cap_per_user": 3} if self.newer_rules else {}
        start = StartRow(SOURCE, 1, 0, 0, json.dumps(json.loads(self.rules.to_json()) | unknown))
        return InClickHouse({SOURCE: SourceLedger(starts=(start,), rows=())}, sealed)

    def _runs(self) -> Runs:
        names = ("pintally_verified_timestamp_seconds", "pintally_verified_records", "pintally_verified_share")
        return Runs(
            {
                scope: {**dict(zip(names, (NOW - 60, 9.0, 1.0), strict=True)), "pintally_differences": found}
                for scope, found in self.runs.items()
            }
        )

    def _rates(self) -> Rates:
        rates = Rates()
        rates.add(NOW - 60, {TOPIC: Outcomes()})
        rates.add(NOW, {TOPIC: self.minute})
        return rates


class Standing(TypedDict):
    """What differs in a world where records wait."""

    position: int
    moved: float
    behind: float


STATUS = "pintally status"
WELL = World()
WAITS: Standing = {"position": 400, "moved": 90.0, "behind": 90.0}
AWAY = Trouble(NOW - 42, "nobody answers", "", refuses=False)
REFUSED = Trouble(NOW - 42, "ClickHouse has no database 'x'", "Run pintally migrate, or set another.", refuses=True)
DENIED = Trouble(NOW - 42, "no right to read", "Grant: `kafka-acls.sh ...`", refuses=True)
OTHER_RULES = Ended(
    "two", NOW - 30, "engagement.save.v1[0] is counted by rules ab12 {}, the settings ask for cd34 {}",
    "Set the PINTALLY_* settings back to the ledger's rules (`pintally rules show`), or run `pintally rules apply`.",
)  # fmt: skip
NO_LEDGER = Ended("two", NOW - 30, "the ledger was lost", "Run `pintally accept-loss` to count the log again.")
LATE = "late by 1879.571 s: the minute of event time 2026-11-29T15:01:17.586Z closed 3600 s after its end"
REASON = "pin_id: must be an unsigned 64-bit integer"
LETTERS = (
    LetterKind(TOPIC, "invalid", "action", 90_000, "action: of last year"),
    LetterKind(TOPIC, "invalid", "pin_id", 3_000, REASON),
    LetterKind(TOPIC, "late", "late", 300, LATE),
)
GROWN = {(TOPIC, "invalid", "pin_id"): 2_000, (TOPIC, "invalid", "action"): 1}


def worker(**changes: Any) -> WorkerState:
    """One that answers, and has the source."""
    known: dict[str, Any] = {
        "address": "h:1", "member": "one", "answers": True, "partitions": 1, "paused": 0, "pending_cells": 0,
        "pending_cells_limit": 9, "restoring": False, "sources": frozenset({(TOPIC, 0)}),
    }  # fmt: skip
    return WorkerState.model_validate(known | changes)


def silent(seconds: float = 42.0, **changes: Any) -> WorkerState:
    """One that has not answered for so long."""
    return worker(answers=False, silent_since=NOW - seconds, **changes)


REFUSED_LETTERS = LettersRefused(topic="t.dlq", error="NotEnoughReplicasError", seconds=42.0)
STANDS: Standing = {"position": 400, "moved": 45.0, "behind": 45.0}
CASES: dict[str, tuple[World, str, str, str]] = {
    "away": (
        replace(WELL, trouble={"clickhouse": AWAY}),
        "stopped",
        "^ClickHouse does not answer. Restart it: counting",
        STATUS,
    ),
    "Kafka does not answer": (
        replace(WELL, trouble={"kafka": AWAY}),
        "stopped",
        "^Kafka does not answer. Restart it: counting",
        STATUS,
    ),
    "refused": (replace(WELL, trouble={"clickhouse": REFUSED}), "wrong", "has no database 'x'", "pintally migrate"),
    "Kafka refuses": (replace(WELL, trouble={"kafka": DENIED}), "wrong", "^Kafka refuses: no right", STATUS),
    "differs": (replace(WELL, runs={"whole": 2}), "wrong", "verify found 2 differences", "pintally verify"),
    "a sample differs": (
        replace(WELL, runs={"whole": 0, "sample": 1}),
        "wrong",
        "verify of a sample found 1 difference ",
        "pintally verify",
    ),
    "deleted": (
        replace(WELL, position=400, log_start=500),
        "wrong",
        "Kafka deleted 100 records",
        "pintally accept-loss",
    ),
    "nobody": (replace(WELL, members=(), **WAITS), "stopped", "^No worker runs: 600 records wait", "pintally worker"),
    "all have ended": (
        replace(WELL, members=(), known=(silent(ended=True), silent(ended=True, address="h:2", member="two")), **WAITS),
        "stopped",
        "^No worker runs: 600 records wait. The 2 workers that counted have ended",
        "pintally worker --instance one",
    ),
    "all hang": (
        replace(WELL, members=(), known=(silent(process_id=7), silent(address="h:2", member="two")), **WAITS),
        "stopped",
        "^No worker counts: 600 records wait. The 2 workers that counted do not answer any more",
        "pintally worker --instance one",
    ),
    "it runs, and is not in the group": (
        replace(WELL, members=(), known=(worker(),), **WAITS),
        "stopped",
        '^Worker "one" runs, but takes no part in counting: 600 records wait',
        STATUS,
    ),
    "other rules": (
        replace(WELL, members=(), ended=(OTHER_RULES,), **WAITS),
        "stopped",
        "^No worker runs. The last one refused to count on: its settings have other counting rules than the ledger",
        "pintally rules show",
    ),
    "settings with other rules": (
        replace(WELL, members=(), rules=Rules(allowed_lateness_ms=1), **WAITS),
        "stopped",
        "^No worker runs: .* The settings have other rules than the ledger",
        "pintally rules show",
    ),
    "a newer version wrote the rules, and no worker runs": (
        replace(WELL, members=(), newer_rules=True, **WAITS),
        "stopped",
        "^No worker runs: 600 records wait. A newer version of Pintally wrote the rules in the ledger; workers of this",
        "pintally rules show",
    ),
    "a newer version wrote the rules, and its workers count": (
        replace(WELL, newer_rules=True),
        "warning",
        "^This page is of an older version, 1: it does not know the counting rules in the ledger",
        "pintally rules show",
    ),
    "one of two refused": (
        replace(WELL, ended=(NO_LEDGER,)),
        "warning",
        '^Worker "two" refused to count on: the ledger was lost',
        "pintally accept-loss",
    ),
    "retention": (
        replace(WELL, **WAITS, retention_ms=120_000),
        "stopped",
        r"^Kafka deletes uncounted records of engagement.save.v1\[0\] in 30 s\. Raise the retention first",
        "kafka-configs.sh --bootstrap-server broker:9092 --alter --entity-type topics --entity-name engagement.save.v1 "
        "--add-config retention.ms=1209600000",
    ),
    "retention by size": (
        replace(WELL, **WAITS, log_start=300, retention_bytes=1_000_000, deleted=200),
        "stopped",
        r"^Kafka deletes uncounted records of engagement.save.v1\[0\] in 60 s\. Raise the retention first",
        "kafka-configs.sh --bootstrap-server broker:9092 --alter --entity-type topics --entity-name engagement.save.v1 "
        "--add-config retention.bytes=-1",
    ),
    "cut off": (
        replace(WELL, known=(worker(away={"clickhouse": 42.0}),), **WAITS),
        "stopped",
        '^Worker "one" cannot use ClickHouse, though it answers this page',
        STATUS,
    ),
    "letters are refused": (
        replace(WELL, known=(worker(letters_refused=REFUSED_LETTERS),), **WAITS),
        "stopped",
        '^Worker "one" cannot write to t.dlq, so partitions with records for it stand: 600 records wait. The reason: ',
        "kafka-topics.sh --bootstrap-server broker:9092 --describe --topic t.dlq",
    ),
    "blocked": (
        replace(WELL, log_end=1000, position=900, last_stable=900, moved=20.0, behind=20.0),
        "stopped",
        "^A producer opened a transaction in .* and does not end it: 100 records wait behind it",
        STATUS,
    ),
    "a worker ended, and its sources stand": (
        replace(WELL, members=("one", "two"), known=(silent(ended=True),), **STANDS),
        "stopped",
        r'^Worker "one" has ended: engagement.save.v1\[0\] stands still until another takes over, 600 records wait',
        "pintally worker --instance one",
    ),
    "a worker hangs, and its sources stand for long": (
        replace(WELL, members=("one", "two"), known=(silent(),), **WAITS),
        "stopped",
        '^Worker "one" does not answer: .* stands still until another takes over',
        "pintally worker --instance one",
    ),
    "a worker hangs, and others count": (
        replace(WELL, members=("two",), known=(silent(),)),
        "warning",
        '^Worker "one" does not answer. Others count its partitions',
        "pintally worker --instance one",
    ),
    "a nameless worker ended": (
        replace(WELL, members=("two",), known=(silent(member=None, ended=True),)),
        "warning",
        "^The worker at h:1 has ended. Others count its partitions",
        "pintally worker",
    ),
    "nobody was ever at an address": (
        replace(WELL, members=("two",), known=(silent(member=None, heard=False, sources=frozenset()),)),
        "warning",
        "^Nothing answers at h:1, where a worker should be. Others count all partitions",
        "pintally worker",
    ),
    "stalled": (replace(WELL, **WAITS), "stopped", '^Worker "one" does not count .*: 600 records wait', STATUS),
    "slow": (
        replace(WELL, fresh=9.0, steps=(Step(step="read_back", seconds=0.2), Step(step="cells", seconds=4.2))),
        "behind",
        "^ClickHouse is slow: writing cells takes 4.2 s, so records are visible only after 9 s",
        STATUS,
    ),
    "a flush does not end": (
        replace(WELL, known=(worker(flushed_at=NOW - 18), worker(flushed_at=NOW - 1, member="two"))),
        "behind",
        '^Flushes are slow: that of worker "one" has not ended, and what it counted is not visible yet',
        STATUS,
    ),
    "Kafka is slow": (
        replace(WELL, fresh=9.0, steps=(Step(step="dead_letter_topics", seconds=4.2),)),
        "behind",
        "^Kafka is slow: writing to dead-letter topics takes 4.2 s",
        STATUS,
    ),
    "not begun": (
        replace(WELL, position=None, oldest=900.0),
        "behind",
        r"has not begun: 1,000 records wait",
        STATUS,
    ),
    "deleted before it is counted": (
        replace(WELL, position=None, oldest=900.0, retention_ms=1_000_000),
        "stopped",
        "^Kafka deletes uncounted records of .* in 100 s",
        "kafka-configs.sh",
    ),
    "invalid": (
        replace(WELL, minute=Outcomes(1_000, invalid=3_000), letters=LETTERS, grown=GROWN),
        "wrong",
        "^A producer sends invalid records to engagement.save.v1: 3,000 in the last minute, 75% of its records",
        "pintally dlq list --outcome invalid",
    ),
    "late": (
        replace(WELL, minute=Outcomes(9_700, late=300), letters=LETTERS),
        "wrong",
        "^A producer sends records too late to engagement.save.v1: 300 in the last minute, 3% of its records",
        "pintally dlq list --outcome late",
    ),
    "behind": (replace(WELL, position=400, behind=900.0), "behind", "is 15 min behind: 600 records wait", STATUS),
    "hours": (
        replace(WELL, sealed_ago=5 * 3600),
        "behind",
        "Only hours before .* UTC are final: sealing waits for",
        STATUS,
    ),
    "cuts": (replace(WELL, cut_ago=4000), "behind", "newest cut is 67 min old", STATUS),
}


@pytest.mark.parametrize("name", CASES)
def test_each_trouble_has_its_sentence_its_command_and_its_place_in_the_runbook(name: str) -> None:
    world, level, words, command = CASES[name]
    condition = world.condition()
    assert condition.level == level
    assert re.search(words, condition.sentence), condition.sentence
    assert (condition.command or "").startswith(command)
    assert f"### {condition.runbook}\n" in RUNBOOK.lower()
    assert condition.since is not None
    assert condition.since <= NOW


@pytest.mark.parametrize("name", CASES)
def test_the_command_is_one_that_there_is(name: str) -> None:
    words = (CASES[name][0].condition().command or "").split()
    assert words[0] in ("kafka-configs.sh", "kafka-topics.sh", "kill") or words[1] in COMMANDS


@pytest.mark.parametrize("name", CASES)
def test_a_trouble_that_lasts_is_of_one_kind_and_keeps_the_moment_of_its_beginning(name: str) -> None:
    condition = CASES[name][0].condition()
    earlier = condition.model_copy(update={"since": NOW - 500, "sentence": "other figures"})
    again = replace(CASES[name][0], before=(earlier,)).condition()
    assert again.kind == condition.kind
    assert again.since in (NOW - 500, condition.since)
    assert again.since != NOW


def test_all_is_well_where_nothing_is_wrong() -> None:
    condition = WELL.condition()
    assert condition.level == "ok"
    assert condition.sentence.startswith("All records are counted; hours before ")
    assert (condition.command, condition.runbook, condition.since) == (None, None, None)
    assert WELL.others() == []


def test_where_nothing_is_known_of_a_worker_the_page_says_where_its_reason_is() -> None:
    """It may have refused on another machine: Kafka says only that nobody is in the group."""
    assert "journalctl -u 'pintally-worker@*'" in (CASES["nobody"][0].condition().detail or "")


def test_what_is_read_but_not_flushed_yet_is_well_too() -> None:
    assert (
        replace(WELL, position=990, behind=0.8)
        .state()
        .condition.sentence.startswith("All records are counted, 0.8 s behind; ")
    )


def test_a_short_retention_of_which_little_is_used_is_no_danger() -> None:
    assert "deletes" not in replace(WELL, **WAITS, retention_ms=7_200_000).condition().sentence


def test_a_size_of_which_little_is_used_is_no_danger_and_none_where_nothing_is_deleted() -> None:
    near = CASES["retention by size"][0]
    assert near.state().sources[0].retention_headroom == 60.0
    for far in (
        replace(near, position=900, behind=9.0),
        replace(near, deleted=0),
        replace(near, retention_bytes=-1),
    ):
        assert "deletes" not in far.condition().sentence


def test_retention_that_is_over_is_near() -> None:
    assert "deletes uncounted records of" in replace(WELL, **WAITS, retention_ms=60_000).condition().sentence


def test_the_worst_stands_first_and_the_others_below_it() -> None:
    both = replace(CASES["hours"][0], members=(), minute=Outcomes(1_000, invalid=3_000), **WAITS)
    assert both.condition().kind == "nobody"
    assert both.others() == ["invalid"]  # that nothing is sealed follows
    all_three = replace(both, runs={"whole": 2})
    assert all_three.condition().kind == "differs"
    assert all_three.others() == ["nobody", "invalid"]


def test_what_is_wrong_stands_before_what_is_late() -> None:
    flood = replace(CASES["invalid"][0], position=400, behind=900.0)
    assert (flood.condition().kind, flood.others()) == ("invalid", ["behind"])


def test_what_is_of_an_older_look_is_not_said_beside_an_engine_that_is_away() -> None:
    world = replace(WELL, members=(), minute=Outcomes(1_000, invalid=3_000), trouble={"kafka": AWAY}, **WAITS)
    assert world.condition().kind == "kafka away"
    assert world.others() == []
    assert replace(world, runs={"whole": 2}).others() == ["differs"]


def test_a_retention_that_is_near_is_said_beside_the_reason() -> None:
    world = replace(WELL, members=(), retention_ms=120_000, **WAITS)
    assert (world.condition().kind, world.others()) == ("nobody", ["retention"])


def test_every_rule_is_told_from_what_only_follows_from_it() -> None:
    for rule, following in FOLLOWS.items():
        assert all(RULES.index(rule) < RULES.index(each) for each in following)


def test_the_example_of_a_reason_is_of_the_kind_that_grows_not_of_the_most_there_ever_were() -> None:
    condition = CASES["invalid"][0].condition()
    assert condition.detail == 'For example, in one record "pin_id" must be an unsigned 64-bit integer.'
    assert replace(CASES["invalid"][0], letters=()).condition().detail is None


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (LATE, "For example, one record came 31 min after its minute had closed; a minute stays open for 60 min."),
        (
            "value: must be JSON; it is empty; send the JSON itself",
            'For example, in one record "value" must be JSON: it is empty. Send the JSON itself.',
        ),
        ("value: missing (a tombstone)", 'For example, in one record "value": missing (a tombstone).'),
        ("it has no Kafka timestamp: nothing tells when it came",
         "For example, in one record it has no Kafka timestamp: nothing tells when it came."),
    ],
)  # fmt: skip
def test_a_reason_is_said_in_sentences_with_one_number_and_its_limit(reason: str, words: str) -> None:
    assert example(reason) == words


def test_all_topics_are_named_with_their_shares() -> None:
    rates = Rates()
    rates.add(NOW - 60, {name: Outcomes() for name in ("click.v1", "save.v1", "well.v1")})
    rates.add(NOW, {"click.v1": Outcomes(900, invalid=100), "save.v1": Outcomes(1_500, invalid=500), "well.v1": USUAL})
    state = WELL.state()
    sources = [state.sources[0].model_copy(update={"topic": name}) for name in ("click.v1", "save.v1", "well.v1")]
    look = Look(1, NOW, None, None, (), {}, {}, {})
    [condition] = faulty(Facts(look, sources, state.sealing, state.workers, rates))
    assert condition.sentence == (
        "A producer sends invalid records to 2 topics: 600 in the last minute, 20% of their records."
    )
    assert condition.detail == "By topic: save.v1 500 (25%), click.v1 100 (10%)."


def test_an_engine_says_where_it_was_asked_and_what_came_of_it_once() -> None:
    for what, detail in (
        ("nobody answers", "nobody answers."),
        (
            "Kafka has not answered for 2.5 s",
            "Questions are sent to broker:9092, and no answer comes back.",
        ),
        ("Kafka does not answer at h:9092 ([Errno 111] refused)", "It was asked at h:9092 ([Errno 111] refused)."),
    ):
        world = replace(WELL, trouble={"kafka": replace(AWAY, what=what)})
        assert world.condition().detail == detail
    assert CASES["refused"][0].condition().detail == REFUSED.remedy
    assert CASES["one of two refused"][0].condition().detail == NO_LEDGER.remedy.replace("`", "")


def test_a_worker_that_hangs_on_this_machine_is_ended_and_started_by_the_commands() -> None:
    hangs = replace(WELL, members=("two",), known=(silent(address="127.0.0.1:9301", process_id=4711),)).condition()
    assert (hangs.command, hangs.then) == ("kill -9 4711", ["pintally worker --instance one"])
    assert hangs.detail == "Its process hangs, on the machine of pintally serve: give the commands there."


def test_a_worker_that_hangs_elsewhere_is_named_by_its_process_and_its_address() -> None:
    there = replace(WELL, members=("two",), known=(silent(address="10.0.0.7:9301", process_id=4711),)).condition()
    assert (there.command, there.then) == ("pintally worker --instance one", [])
    assert there.detail is not None
    assert "process 4711 at 10.0.0.7:9301" in there.detail


def test_the_first_process_of_a_container_is_not_killed_by_its_number_here() -> None:
    inside = replace(WELL, members=("two",), known=(silent(address="127.0.0.1:9301", process_id=1),)).condition()
    assert inside.command == "pintally worker --instance one"


def test_all_workers_that_ended_are_to_be_started_and_their_machines_are_named() -> None:
    condition = CASES["all have ended"][0].condition()
    assert (condition.command, condition.then) == ("pintally worker --instance one", ["pintally worker --instance two"])
    assert condition.detail is not None
    assert "They ran at h:1 and h:2: start each there." in condition.detail


SINCE = re.compile(r"\bfor \d+ (s|min|h|d)\b|\b\d+ (s|min|h|d) ago\b")


@pytest.mark.parametrize("name", CASES)
def test_how_long_it_lasts_is_said_once_by_the_page_and_not_by_the_sentence(name: str) -> None:
    condition = CASES[name][0].condition()
    assert condition.since
    assert not SINCE.search(condition.sentence)


@pytest.mark.parametrize("name", CASES)
def test_a_command_that_changes_nothing_is_called_a_check(name: str) -> None:
    condition = CASES[name][0].condition()
    assert condition.command
    words = condition.command.split()
    assert condition.checks == (words[:2] in READING or words[0] == "kafka-topics.sh")


READING = [["pintally", each] for each in ("status", "dlq", "rules", "verify")]
LEFT = {
    "away": "Nothing is lost. The counts shown are right, but stale: they are of the moment when ClickHouse last",
    "Kafka does not answer": "If Kafka comes back .* nothing is lost.* right, but may be incomplete: what Kafka",
    "nobody": "^Nothing is lost. The counts shown are right, but incomplete: 600 records are not counted yet.$",
    "differs": "Some of the counts shown are wrong",
    "a sample differs": "Some of the counts shown are wrong",
    "deleted": "^Records are lost: Kafka deleted them .* incomplete: these records are missing.$",
    "retention": "^Nothing is lost yet, but Kafka will delete",
    "one of two refused": "^What Kafka still holds can be counted.",
    "invalid": "^Nothing is lost. .* right.* dlq replay counts invalid records once they are corrected.$",
    "late": "^Nothing is lost. .* right.* dlq replay counts late records as they are.$",
}


@pytest.mark.parametrize("name", CASES)
def test_every_state_says_whether_anything_is_lost_and_how_far_the_counts_are_right(name: str) -> None:
    said = CASES[name][0].state().assurance
    assert re.search(r"\blost\b|\bKafka still holds\b", said)
    assert re.search(r"^.*\b[Tt]he counts shown are\b", said)
    assert re.search(LEFT.get(name, "counts shown are right"), said), said


def test_what_is_well_is_right_and_complete() -> None:
    assert WELL.state().assurance == "Nothing is lost. The counts shown are right, and complete."
    near = replace(WELL, position=990, behind=0.8).state().assurance
    assert near == "Nothing is lost. The counts shown are right, and complete up to 0.8 s ago."


def test_what_cannot_be_known_without_an_engine_is_not_shown_as_if_it_were() -> None:
    without_kafka = replace(WELL, trouble={"kafka": AWAY}).state()
    assert {each.state for each in without_kafka.sources} == {"unknown"}
    without_clickhouse = replace(WELL, trouble={"clickhouse": AWAY}).state()
    assert {each.per_second for each in without_clickhouse.outcomes} == {None}


def test_every_step_of_a_flush_has_its_words() -> None:
    assert list(STEPS) == list(FLUSH_STEPS)


def test_a_worker_that_is_slow_to_answer_once_or_counts_again_is_no_trouble() -> None:
    for world in (
        replace(WELL, known=(silent(5.0),)),
        replace(WELL, ended=(replace(NO_LEDGER, name="one"),)),
        replace(WELL, known=(worker(away={"kafka": 3.0}),)),
        replace(WELL, known=(worker(flushed_at=NOW - 5),)),
        replace(WELL, known=(worker(flushed_at=NOW - 50, restoring=True), worker(flushed_at=NOW - 50, partitions=0))),
    ):
        assert world.condition().level == "ok"


def test_a_step_that_is_a_little_slow_is_not_the_reason_for_what_waited_in_an_outage() -> None:
    after_outage = replace(WELL, fresh=119.0, steps=(Step(step="cells", seconds=1.6),))
    assert after_outage.condition().level == "ok"
    slower = replace(after_outage, steps=(Step(step="cells", seconds=6.0),))
    assert slower.condition().kind == "slow"


def test_who_was_never_heard_is_not_said_to_have_ended() -> None:
    world = replace(WELL, members=(), known=(silent(member=None, heard=False, sources=frozenset()),), **WAITS)
    assert world.condition().sentence == "No worker runs: 600 records wait."


def test_a_worker_that_refused_is_not_called_ended_too() -> None:
    world = replace(WELL, ended=(NO_LEDGER,), known=(silent(member="two", ended=True),))
    assert (world.condition().kind, world.others()) == ("refused", [])


def test_what_is_over_begins_anew_when_it_comes_again() -> None:
    def found(kind: str, since: float | None) -> Condition:
        return Condition(kind=kind, level="behind", sentence="", since=since)

    [again] = since_when([found("slow", None)], [found("late", 5.0)], NOW)
    assert again.since == NOW


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
        (("one", "one"), 'Worker "one" does not count'),
        (("one", "two"), "2 workers do not count"),
        (("one", None), "Nobody counts"),
    ],
)
def test_who_does_not_count_is_said_as_far_as_it_is_known(members: tuple[str | None, ...], who: str) -> None:
    [source] = replace(WELL, **WAITS).state().sources
    assert who_stands([source.model_copy(update={"member": member}) for member in members]) == who


def _rows_of_the_runbook() -> list[tuple[re.Pattern[str], str, str]]:
    """The beginning of a sentence, the levels, and the section that a row names."""
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \| \[\w+\]\(#(\w+)\) \|$", RUNBOOK, re.MULTILINE)
    return [
        (re.compile(".+".join(map(re.escape, words.split("...")))), levels, anchor)
        for cell, levels, anchor in rows
        for words in re.findall("`([^`]+)`", cell)
    ]


def test_the_runbook_names_each_sentence_with_its_level_and_its_section_and_no_other() -> None:
    rows, found = _rows_of_the_runbook(), [world.condition() for world, *_ in CASES.values()]
    unknown = [
        each.sentence
        for each in found
        if not any(
            words.match(each.sentence) and each.level in levels and each.runbook == anchor
            for words, levels, anchor in rows
        )
    ]
    assert unknown == []
    said = [each.sentence for each in found] + [who_stands([source]) + " x" for source in nobodys_sources()]
    assert [words.pattern for words, _, _ in rows if not any(map(words.match, said))] == []


def nobodys_sources() -> list[SourceState]:
    return [source.model_copy(update={"member": None}) for source in replace(WELL, **WAITS).state().sources]
