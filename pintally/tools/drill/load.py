"""The steady traffic: `pintally emulate`, leg after leg, so that each knows the partitions of its time."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from aiokafka import AIOKafkaProducer

from pintally.schemas.rules import DAY_MS, HOUR_MS, MINUTE_MS
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.kafka.topics import describe_topics
from pintally.tools.drill.stack import Stack
from pintally.tools.drill.truth import Cell, Expected
from pintally.tools.emulate.plan import Plan
from pintally.tools.emulate.producer import BATCH_BYTES, Sender, Target
from pintally.tools.emulate.traffic import Traffic
from pintally.tools.engines.child import GUARD
from pintally.tools.python import PINTALLY

LEG_SECONDS = 45.0
PINS = 10_000
SHARES = {"duplicates": 0.01, "late": 0.003, "broken": 0.002, "bots": 0.01}
HISTORY_EVENTS = 20_000  # an hour
UNCERTAIN = ("did not take a batch", "no longer certain", "Traceback")
STOP_SECONDS = 90.0
KILLED = 128 + signal.SIGKILL  # the guard's exit status: the command did not stop in time


class Load:
    """Sends `rate` records a second until `stop`; the truth of each leg goes to `expected`."""

    def __init__(self, stack: Stack, rate: float, seed: int, expected: Expected) -> None:
        self.rate = rate
        self.seed = seed
        self.expected = expected
        self.legs = 0
        self._stack = stack
        self._over = threading.Event()
        self._guard: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the traffic and take in the truth of its last leg."""
        self._over.set()
        if self._guard and self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.close()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._over.is_set():
            self._leg()

    def _leg(self) -> None:
        self.legs += 1
        log = self._stack.folder / "load.log"
        truth = self._stack.folder / f"truth-{self.legs}.jsonl"
        shares = [text for name, share in SHARES.items() for text in (f"--{name}", str(share))]
        command = [*PINTALLY, "emulate", "--json", "--rate", str(self.rate)]
        command += ["--events", str(int(self.rate * LEG_SECONDS)), "--seed", str(self.seed), "--pins", str(PINS)]
        command += [*shares, "--truth", str(truth)]
        with log.open("ab") as output:
            begins = output.tell()
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), "signal", *command],
                env=self._stack.settings.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        if self._over.is_set():  # `stop` may have come before there was anything to stop
            self._close(self._guard)
        code = self._guard.wait()
        self._close(self._guard)
        if truth.exists():
            self.expected.add_file(truth)
            truth.unlink()
        else:
            self._explain(log, begins, code)

    def _explain(self, log: Path, begins: int, code: int) -> None:
        """A leg without truth: had it begun to send? Of one that was killed nobody knows."""
        said = log.read_bytes()[begins:].decode(errors="replace")
        if code == KILLED or any(words in said for words in UNCERTAIN):
            self.expected.doubt(f"leg {self.legs} of the traffic ended with code {code}: {said.strip()[-300:]}")
        self._over.wait(1.0)  # Kafka is away: the next leg tries again

    def _close(self, guard: "subprocess.Popen[bytes]") -> None:
        for pipe in (guard.stdin, guard.stdout):
            if pipe:
                pipe.close()


def write_history(stack: Stack, seed: int, expected: Expected) -> None:
    """Two past hours and the end of yesterday with their own timestamps, which are final as soon as they are counted.

    The topics must take producers' timestamps. Without this no window would be final in a drill of a few minutes.
    """
    now = time.time_ns() // 1_000_000
    hour = now // HOUR_MS * HOUR_MS
    topics = describe_topics(stack.settings.kafka, stack.settings.topics)
    target = Target.of(stack.settings.kafka, stack.settings.topics, topics, stack.settings.rules.framed)
    for end in sorted({now // DAY_MS * DAY_MS, hour - HOUR_MS, hour}):
        plan = Plan(HISTORY_EVENTS, None, seed, 2 * MINUTE_MS, PINS, keeps_times=True, **SHARES)
        traffic = Traffic(plan, stack.settings.rules.to_rules(), end - 5 * MINUTE_MS)
        asyncio.run(_send(target, traffic, expected))


async def _send(target: Target, traffic: Traffic, expected: Expected) -> None:
    truth = target.truth(traffic)
    async with AIOKafkaProducer(
        **kafka_options(target.kafka), enable_idempotence=True, acks="all", max_batch_size=BATCH_BYTES
    ) as producer:
        sender = Sender(producer, target, traffic)
        for slab in traffic.slabs():
            truth.add(slab, await sender.send(slab))
    found = {Cell(*cell): counts for cell, counts in truth.labelled().items()}
    events = {cell: counts.events for cell, counts in found.items()}
    trusted = {cell: counts.events if counts.trusted is None else counts.trusted for cell, counts in found.items()}
    expected.add(events, truth.records, trusted)
