"""One drill from its start to its verdict."""

import json
import os
import random
import signal
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.random import default_rng

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.schemas.experiments import EVERY
from pintally.tools.drill.fault_context import FaultContext, Group
from pintally.tools.drill.letters import missing_letters
from pintally.tools.drill.load import PINS, Load, write_history
from pintally.tools.drill.probe import Probe
from pintally.tools.drill.proxy import Mode
from pintally.tools.drill.reader import Reader, windows
from pintally.tools.drill.report import MIB, Report
from pintally.tools.drill.schedule import Say, Schedule
from pintally.tools.drill.stack import Stack, open_stack, take_kafkas_clock
from pintally.tools.drill.truth import Cell, Counts, Expected, differences, trusted_above
from pintally.tools.drill.workers import Workers
from pintally.tools.emulate.pins import Pins
from pintally.tools.python import PINTALLY

GROUPS: tuple[Group, ...] = ("engines", "producers")
STARTED_SECONDS = 180.0
BACK_SECONDS = 300.0
CAUGHT_UP_SECONDS = 300.0
SEALED_SECONDS = 300.0
VERIFY_SECONDS = 3 * 3600
READ_PINS = [*range(30), *range(100, PINS, 1_000)]  # by popularity
FOREIGN_PINS = 1 << 40  # below: pins of foreign producers, above: the emulator's
REFUSED = 2  # a worker's exit code when a person must act


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for."""

    faults: tuple[str, ...]
    minutes: float
    seed: int
    rate: float  # events a second
    workers: int
    memory_mib: int  # budget of one worker
    folder: Path
    brokers: int = 1  # of Kafka


def drill(options: Options, say: Say) -> Report:
    """Run one drill. Raises PintallyError where the engines cannot be started; everything else is in the report."""
    report = Report(
        options.seed, options.workers, options.rate, options.faults,
        budget_mib=options.memory_mib, folder=str(options.folder),
    )  # fmt: skip
    with ExitStack() as ends:
        stack = ends.enter_context(
            open_stack(options.folder, options.workers + 1, options.brokers, _settings(options), say)
        )
        expected = Expected()
        write_history(stack, options.seed, expected)
        take_kafkas_clock(stack.settings)
        workers = Workers(stack)
        probe = Probe(stack)
        pins = _pins(options.seed)
        load = ends.enter_context(Load(stack, options.rate, options.seed, expected))
        ends.enter_context(workers)
        reader = ends.enter_context(Reader(stack, pins))
        if not probe.wait_caught_up(STARTED_SECONDS):
            report.inconclusive.append(f"nothing was counted in the first {STARTED_SECONDS:.0f} s")
        contexts = {
            group: FaultContext(stack, workers, probe, expected, random.Random(f"{options.seed} {group}"))
            for group in GROUPS
        }
        schedule = Schedule(contexts, options.minutes, report, say)
        schedule.run()
        report.minutes = (time.monotonic() - schedule.began) / 60
        say("faults are over; waiting until all is counted")
        load.stop()
        _heal(stack, workers)
        _settle(probe, report)
        _judge(stack, probe, reader, expected, pins, report, say)
        _measure(workers, contexts, options, report)
        workers.stop()
    return report


def _settings(options: Options) -> dict[str, Any]:
    """Small enough that a few seconds are a long time; one topic is framed, beside plain ones. All is counted."""
    return {
        "session_timeout_seconds": 3.0,
        "slice_records": 20_000,
        "max_pending_cells": max(2_000, int(2 * options.rate)),
        "seal_seconds": 5.0,
        "allowed_lateness_seconds": 600,
        "idle_margin_seconds": 60,
        "partitions": 4,
        "framed_topics": Action.CLICK.label,
        "count_users": True,
        "user_key": f"{options.seed:032x}",
        "experiments": EVERY,
    }


def _pins(seed: int) -> list[int]:
    """The pins that the reader looks at."""
    ids = Pins(default_rng([seed, 0]), PINS).ids.tolist()
    return [ids[number] for number in READ_PINS]


def _heal(stack: Stack, workers: Workers) -> None:
    for proxies in stack.proxies:
        for proxy in (*proxies.kafka, proxies.clickhouse):
            proxy.set(Mode.PASS)
    engines = (*stack.engines.brokers, stack.engines.clickhouse)
    for engine in engines:
        if engine.pid:
            os.kill(engine.pid, signal.SIGCONT)
        engine.start()
    for engine in engines:
        engine.wait_ready(BACK_SECONDS)
    for worker in workers.steady:
        worker.signal(signal.SIGCONT)
        worker.start()


def _settle(probe: Probe, report: Report) -> None:
    """All that was sent must be counted in time."""
    probe.wait_caught_up(CAUGHT_UP_SECONDS)
    try:
        report.lag = probe.lag()
        report.outcomes = probe.events()
    except PintallyError as error:
        report.inconclusive.append(f"the engines do not answer in the end: {error.what}")
        return
    probe.wait_beside(SEALED_SECONDS)
    if report.lag:
        report.failures.append(f"lag is {report.lag:,} after {CAUGHT_UP_SECONDS:.0f} s without faults")


def _judge(
    stack: Stack, probe: Probe, reader: Reader, expected: Expected, pins: list[int], report: Report, say: Say
) -> None:
    """The reader's views, the producers' truth, the dead-letter topics, and `pintally verify`."""
    reader.stop()
    reader.look(whole=True)
    found = probe.counts()
    _compare(expected, found, report)
    report.beside = probe.beside()
    if none := [table for table, rows in report.beside.items() if not rows]:
        report.inconclusive.append(f"without a row: {', '.join(none)}")
    known = found
    if not expected.unknown:  # what is trusted is known to `verify` alone
        known = {cell: Counts(n, found.get(cell, Counts(0, 0)).trusted) for cell, n in expected.cells.items()}
    reader.checker.conclude(windows(known, pins))
    report.looks, report.unanswered = reader.checker.looks, reader.unanswered
    report.final_windows = reader.checker.final_windows
    report.violations = reader.checker.shown
    if reader.checker.violations:
        report.failures.append(
            f"a reader saw {reader.checker.violations:,} things that must not be: {report.violations[0]}"
        )
    if lost := missing_letters(stack):
        report.failures.append(f"{len(lost):,} dead letters are not on their topic, the first of {lost[0]}")
    say("recounting the whole log")
    _verify(stack, report)


def _compare(expected: Expected, found: dict[Cell, Counts], report: Report) -> None:
    report.sent = expected.sent
    if expected.unknown:
        report.truth = f"not known: {expected.unknown[0]}"
        return
    if not expected.foreign_known:
        found = {cell: counts for cell, counts in found.items() if cell.pin >= FOREIGN_PINS}
    sent = {cell: n for cell, n in expected.cells.items() if expected.foreign_known or cell.pin >= FOREIGN_PINS}
    wrong, shown = differences(sent, {cell: counts.events for cell, counts in found.items()})
    if wrong:
        report.failures.append(f"{wrong:,} cells are not what was sent: {'; '.join(shown)}")
    if above := trusted_above(expected.trusted_at_most, found):
        report.failures.append(f"more is trusted than can be in {len(above):,} cells: {'; '.join(above[:5])}")
    report.truth = f"{len(sent):,} cells of {sum(sent.values()):,} events sent, {wrong:,} counted otherwise"


def _verify(stack: Stack, report: Report) -> None:
    done = subprocess.run(
        [*PINTALLY, "verify", "--json"],
        env=stack.settings.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=VERIFY_SECONDS,
        check=False,
    )
    try:
        told = json.loads(done.stdout)
    except ValueError:
        report.inconclusive.append(f"verify could not tell: {done.stderr.strip()[-500:]}")
        return
    words = {0: "exact", 1: "it differs", 2: "could not tell", 75: "could not tell now"}[done.returncode]
    windows = told["sealed_windows"]
    report.verify = {
        "words": f"{words}: {told['records']:,} records recounted in {told['seconds']} s, {windows:,} sealed windows",
        **{name: told[name] for name in ("exit_code", "records", "seconds", "sealed_windows", "findings")},
    }
    if done.returncode == 1:
        report.failures.append(f"verify found differences: {told['findings']} {told['shown'][:3]}")
    if done.returncode in (2, 75):
        report.inconclusive.append(f"verify could not tell: {told['unverifiable'] or told['not_started']}")


def _measure(workers: Workers, contexts: dict[Group, FaultContext], options: Options, report: Report) -> None:
    """Memory, what happened, and whether every claimed fault took effect."""
    for worker in workers.all:
        worker.look()
    report.peak_mib = max(worker.peak_bytes for worker in workers.all) // MIB
    if report.peak_mib > options.memory_mib:
        report.failures.append(f"a worker took {report.peak_mib} MiB, the budget is {options.memory_mib} MiB")
    report.happened = workers.counts()
    report.errors = workers.errors()
    for context in contexts.values():
        report.happened.update(context.happened)
    report.ended_by_themselves = {w.name: w.ended_by_itself for w in workers.all if w.ended_by_itself}
    refused = [w.name for w in workers.all if REFUSED in w.ended_by_itself]
    if refused:
        report.failures.append(f"{', '.join(refused)} refused to go on; see the logs in {options.folder}")
    never = report.without_effect()
    if never:
        report.inconclusive.append(f"never took effect: {', '.join(never)}")
