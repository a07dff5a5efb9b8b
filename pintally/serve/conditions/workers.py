"""Workers that have ended, hang, refuse to go on, or are cut off from an engine. Pure."""

from collections.abc import Iterator, Sequence

from pintally.serve.conditions.facts import (
    NAMES,
    STATUS,
    Facts,
    at_start,
    command_in,
    named,
    said,
    shortened,
    waiting,
    who,
)
from pintally.serve.conditions.processes import kill_and_start, where_killed, where_logged
from pintally.serve.state import Condition, Level, SourceState, WorkerState
from pintally.streams.kafka.letters_refused import cause_of
from pintally.streams.worker.ended import Ended

GONE_SECONDS = 10.0  # without an answer: more than a restart takes
CUT_OFF_SECONDS = 10.0  # without an engine that answers this process
RULES = "pintally rules show"
LOGGED = "journalctl -u 'pintally-worker@*' -n 20 with systemd"


def refused(facts: Facts) -> Iterator[Condition]:
    """A worker ended until a person acts; nobody counts, or fewer do."""
    if facts.ended:
        last = facts.ended[0]
        whose = "No worker runs. The last one" if facts.nobody else f'Worker "{last.name}"'
        command = command_in(last.remedy) or STATUS
        level: Level = "stopped" if facts.nobody else "warning"
        anchor = "pintallynoworker" if facts.nobody else "pintallyworkerdown"
        sentence = f"{whose} refused to count on: {_cause(last)}."
        yield said("refused", level, sentence, command, anchor, detail=last.remedy, since=last.at)
    elif facts.nobody and facts.unknown_rules:
        sentence = (
            f"No worker runs: {waiting(facts.sources)}. A newer version of Pintally wrote the rules in the ledger; "
            f"workers of this one, {facts.version}, refuse to count."
        )
        yield said("refused", "stopped", sentence, RULES, "pintallynoworker", detail=facts.unknown_rules[0])
    elif facts.nobody and facts.other_rules:
        sentence = f"No worker runs: {waiting(facts.sources)}. The settings have other rules than the ledger."
        yield said(
            "refused",
            "stopped",
            sentence,
            RULES,
            "pintallynoworker",
            detail="Workers with these settings refuse to count. Set them back, or run `pintally rules apply`.",
        )


def older(facts: Facts) -> Iterator[Condition]:
    """This process is of an older version than the rules in the ledger; workers count by them."""
    if facts.unknown_rules and not facts.nobody:
        sentence = (
            f"This page is of an older version, {facts.version}: it does not know the counting rules in the ledger. "
            "What it shows beside them is right."
        )
        yield said("older", "warning", sentence, RULES, "pintallynoworker", detail=facts.unknown_rules[0])


def _cause(ended: Ended) -> str:
    """The refusal of rules quotes two documents, which a sentence cannot hold."""
    if command_in(ended.remedy) == RULES:
        return "its settings have other counting rules than the ledger, and nobody applied them"
    return shortened(ended.what)


def nobody(facts: Facts) -> Iterator[Condition]:
    """No worker is in the group."""
    if not facts.nobody:
        return
    silent = [worker for worker in _silent(facts) if worker.heard]
    answering = [worker for worker in facts.workers.known if worker.answers]
    waits, anchor = waiting(facts.sources), "pintallynoworker"
    if hanging := [worker for worker in silent if not worker.ended]:
        sentence = f"No worker counts: {waits}. {_ran(hanging)} not answer any more."
        yield said("nobody", "stopped", sentence, kill_and_start(silent), anchor,
                   detail=where_killed(hanging), since=_since(hanging))  # fmt: skip
    elif answering:
        sentence = f"{at_start(who(answering[0]))} runs, but takes no part in counting: {waits}."
        yield said("nobody", "stopped", sentence, STATUS, anchor, detail="Its log says what it waits for.")
    else:
        ended = f" {_ran(silent, 'has', 'have')} ended." if silent else ""
        sentence = f"No worker runs: {waits}." if any(each.lag for each in facts.sources) else "No worker runs."
        detail = f"Start one. If it ends again, its log on its own machine says why in the last line: {LOGGED}."
        yield said("nobody", "stopped", sentence + ended, kill_and_start(silent), anchor,
                   detail=where_logged(silent) if silent else detail, since=_since(silent))  # fmt: skip


def gone(facts: Facts) -> Iterator[Condition]:
    """A worker does not answer any more while others count on."""
    if facts.nobody or not (silent := _silent(facts)):
        return
    worst = max(silent, key=lambda worker: (len(_standing(facts, worker)), worker.heard))
    standing = _standing(facts, worst)
    more = f" {len(silent) - 1} more do not answer either." if len(silent) > 1 else ""
    whose = f"{at_start(who(worst))} {'has ended' if worst.ended else 'does not answer'}"
    detail = where_logged([worst]) if worst.ended else where_killed([worst])
    if standing:
        verb = "stands" if len(standing) == 1 else "stand"
        sentence = f"{whose}: {named(standing)} {verb} still until another takes over, {waiting(standing)}."
    elif worst.heard:
        sentence = f"{whose}. Others count its partitions."
    else:
        sentence = f"Nothing answers at {worst.address}, where a worker should be. Others count all partitions."
        detail = "If there is to be none, take the address out of PINTALLY_SERVE_WORKERS."
    level: Level = "stopped" if standing else "warning"
    yield said("gone", level, sentence + more, kill_and_start([worst]), "pintallyworkerdown",
               detail=detail, since=worst.silent_since)  # fmt: skip


def gone_sources(facts: Facts) -> set[tuple[str, int]]:
    """Topics and partitions that stand because their worker is gone."""
    return {
        (each.topic, each.partition)
        for worker in (() if facts.nobody else _silent(facts))
        for each in _standing(facts, worker)
    }


def cut_off(facts: Facts) -> Iterator[Condition]:
    """An engine answers this process, but not a worker."""
    for engine, name in NAMES.items():
        found = [
            worker
            for worker in facts.workers.known
            if worker.away.get(engine, 0.0) > CUT_OFF_SECONDS and engine not in facts.look.trouble
        ]
        if found:
            longest = max(worker.away[engine] for worker in found)
            whose = at_start(who(found[0])) if len(found) == 1 else f"{len(found)} workers"
            sentence = f"{whose} cannot use {name}, though it answers this page."
            yield said(f"cut off from {engine}", "stopped", sentence, STATUS, "pintallyengineaway",
                       detail="The worker's log has the reason: network, rights, a full disk.",
                       since=facts.now - longest)  # fmt: skip


def letters(facts: Facts) -> Iterator[Condition]:
    """A dead-letter topic takes nothing, so partitions with records for it wait: these must not be lost."""
    found = [worker for worker in facts.workers.known if worker.letters_refused]
    if found:
        worst = max(found, key=lambda worker: worker.letters_refused.seconds if worker.letters_refused else 0.0)
        refused = worst.letters_refused
        assert refused
        cause = cause_of(refused.error, refused.topic, facts.kafka)
        sentence = (
            f"{at_start(who(worst))} cannot write to {refused.topic}, so partitions with records for it stand: "
            f"{waiting(facts.sources)}. "
            f"The reason: {cause.words}."
        )
        yield said("letters", "stopped", sentence, cause.command, "pintallydeadlettersrefused",
                   detail="Invalid and late records must be kept before what it counts is flushed.",
                   since=facts.now - refused.seconds)  # fmt: skip


def _silent(facts: Facts) -> list[WorkerState]:
    """Those who do not answer; who refused to go on has said why."""
    refused = {each.name for each in facts.ended}
    return [
        worker
        for worker in facts.workers.known
        if worker.silent_since is not None
        and facts.now - worker.silent_since > GONE_SECONDS
        and worker.member not in refused
    ]


def _standing(facts: Facts, worker: WorkerState) -> list[SourceState]:
    """Its sources that have not moved since it fell silent, though they have records."""
    since = worker.silent_since or 0.0
    return [
        each
        for each in facts.sources
        if (each.topic, each.partition) in worker.sources and each.stands_since and each.stands_since <= since
    ]


def _ran(workers: Sequence[WorkerState], one: str = "does", several: str = "do") -> str:
    """Who counted before, and a verb for one or for several."""
    if len(workers) == 1:
        return f"{at_start(who(workers[0]))}, which counted, {one}"
    return f"The {len(workers)} workers that counted {several}"


def _since(workers: Sequence[WorkerState]) -> float | None:
    return min((worker.silent_since for worker in workers if worker.silent_since), default=None)
