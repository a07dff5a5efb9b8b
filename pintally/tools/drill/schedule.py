"""Which fault comes when. Two groups run side by side: one for engines and workers, one for foreign producers."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from aiokafka.errors import KafkaError as AsyncKafkaError
from kafka.errors import KafkaError

from pintally.schemas.errors import PintallyError
from pintally.tools.drill.fault_context import Fault, FaultContext, Group, NoEffect
from pintally.tools.drill.faults import FAULTS
from pintally.tools.drill.report import Injection, Report

PAUSE_SECONDS = (1.0, 4.0)  # between two faults of a group
RETRIES = 2  # of a fault that has had no effect by the end

Say = Callable[[str], None]


def rounds(names: Sequence[str], seed: int, most: dict[str, int] | None = None) -> Iterator[tuple[int, str]]:
    """(round, fault) for ever: each round every fault once, in an order of its own; fewer where `most` says so.

    Pure: the same seed and names give the same order.
    """
    rng = random.Random(f"{seed} {' '.join(names)}")
    number = 0
    while names:
        order = [name for name in names if number < (most or {}).get(name, number + 1)]
        if not order:
            return
        rng.shuffle(order)
        yield from ((number, name) for name in order)
        number += 1


class Schedule:
    """Injects faults until `minutes` are over and each has come at least once; what came of them is in `report`."""

    def __init__(self, contexts: Mapping[Group, FaultContext], minutes: float, report: Report, say: Say) -> None:
        self.contexts = contexts
        self.report = report
        self.began = time.monotonic()
        self._end = self.began + minutes * 60
        self._say = say
        self._over = threading.Event()
        self._had_all = {group: threading.Event() for group in contexts}  # every fault of the group has come once
        self._failures: list[BaseException] = []

    def run(self) -> None:
        """Run to the end. Raises what a group raised, at once."""
        threads = [
            threading.Thread(target=self._guarded, args=(each,), name=each, daemon=True) for each in self.contexts
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.5)
        finally:
            self._over.set()
        if self._failures:
            raise self._failures[0]

    def _guarded(self, group: Group) -> None:
        try:
            self._run_group(group)
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            self._failures.append(error)
            self._over.set()

    def _run_group(self, group: Group) -> None:
        faults = {name: FAULTS[name] for name in self.report.claimed if FAULTS[name].group == group}
        most = {name: fault.most for name, fault in faults.items() if fault.most is not None}
        for number, name in rounds(list(faults), self.report.seed, most):
            if number > 0:
                self._had_all[group].set()
            if self._is_over():
                break
            self._inject(faults[name], self.contexts[group])
            self._over.wait(self.contexts[group].rng.uniform(*PAUSE_SECONDS))
        self._had_all[group].set()
        for _ in range(RETRIES):
            for name in [name for name in self.report.without_effect() if name in faults and not self._over.is_set()]:
                self._inject(faults[name], self.contexts[group])

    def _is_over(self) -> bool:
        late = time.monotonic() > self._end and all(had.is_set() for had in self._had_all.values())
        return late or self._over.is_set()

    def _inject(self, fault: Fault, context: FaultContext) -> None:
        at = time.monotonic()
        try:
            evidence, took_effect = fault.inject(context), True
        except NoEffect as reason:
            evidence, took_effect = str(reason), False
        except (PintallyError, KafkaError, AsyncKafkaError, OSError) as error:
            evidence, took_effect = f"{type(error).__name__}: {error}", False
            if fault.group == "producers":
                context.expected.foreign_known = False
        seconds = time.monotonic() - at
        self.report.injections.append(
            Injection(round(at - self.began, 1), round(seconds, 1), fault.name, took_effect, evidence)
        )
        result = "took effect" if took_effect else "no effect"
        self._say(f"{(at - self.began) / 60:6.1f} min  {fault.name}: {result}; {evidence}")
