"""The faults in their turn: two lanes side by side, one for the engines and workers, one for odd producers."""

import threading
import time
from collections.abc import Callable, Mapping

from aiokafka.errors import KafkaError as AsyncKafkaError
from kafka.errors import KafkaError

from pintally.schemas.errors import PintallyError
from pintally.tools.drill.faults import FAULTS
from pintally.tools.drill.plan import rounds
from pintally.tools.drill.report import Report, Strike
from pintally.tools.drill.stage import DidNotBite, Fault, Lane, Stage

PAUSE_SECONDS = (1.0, 4.0)  # between two faults of a lane
RETRIES = 2  # of a fault that has not bitten by the end

Say = Callable[[str], None]


class Play:
    """Injects faults until `minutes` are over and each has come at least once; what came of them is in `report`."""

    def __init__(self, stages: Mapping[Lane, Stage], minutes: float, report: Report, say: Say) -> None:
        self.stages = stages
        self.report = report
        self.began = time.monotonic()
        self._end = self.began + minutes * 60
        self._say = say
        self._over = threading.Event()
        self._had_all = {lane: threading.Event() for lane in stages}  # every fault of the lane has come once
        self._failures: list[BaseException] = []

    def run(self) -> None:
        """Play to the end. Raises what a lane raised, at once."""
        threads = [threading.Thread(target=self._guarded, args=(lane,), name=lane, daemon=True) for lane in self.stages]
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

    def _guarded(self, lane: Lane) -> None:
        try:
            self._play(lane)
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            self._failures.append(error)
            self._over.set()

    def _play(self, lane: Lane) -> None:
        faults = {name: FAULTS[name] for name in self.report.claimed if FAULTS[name].lane == lane}
        most = {name: fault.most for name, fault in faults.items() if fault.most is not None}
        for number, name in rounds(list(faults), self.report.seed, most):
            if number > 0:
                self._had_all[lane].set()
            if self._is_over():
                break
            self._strike(faults[name], self.stages[lane])
            self._over.wait(self.stages[lane].rng.uniform(*PAUSE_SECONDS))
        self._had_all[lane].set()
        for _ in range(RETRIES):
            for name in [name for name in self.report.never_bit() if name in faults and not self._over.is_set()]:
                self._strike(faults[name], self.stages[lane])

    def _is_over(self) -> bool:
        late = time.monotonic() > self._end and all(had.is_set() for had in self._had_all.values())
        return late or self._over.is_set()

    def _strike(self, fault: Fault, stage: Stage) -> None:
        at = time.monotonic()
        try:
            shown, bit = fault.strike(stage), True
        except DidNotBite as reason:
            shown, bit = str(reason), False
        except (PintallyError, KafkaError, AsyncKafkaError, OSError) as error:
            shown, bit = f"{type(error).__name__}: {error}", False
            if fault.lane == "producers":
                stage.expected.guests_known = False
        self.report.strikes.append(
            Strike(round(at - self.began, 1), round(time.monotonic() - at, 1), fault.name, bit, shown)
        )
        mark = "bit" if bit else "did not bite"
        self._say(f"{(at - self.began) / 60:6.1f} min  {fault.name}: {mark}; {shown}")
