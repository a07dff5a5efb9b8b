"""What the workers say of themselves: their `/metrics`, all at once, so that a slow one holds nobody up."""

import asyncio
import socket
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isnan
from time import monotonic

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from pintally.serve.state import Step, Workers, WorkerState
from pintally.streams.http.targets import WORKER_JOB, announced_targets

TIMEOUT = aiohttp.ClientTimeout(total=1.0)
SECONDS = 60.0  # freshness and steps are of the last minute
Series = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
NOBODY = Workers(known=[], freshness_p50=None, freshness_p99=None, steps=[])


@dataclass(frozen=True, slots=True)
class Said:
    """The series of one worker at a time."""

    at: float
    series: Series


class AskWorkers:
    """Asks every worker whose address is known; remembers a minute of answers."""

    def __init__(self, addresses: str) -> None:
        self._addresses = [each for part in addresses.split(",") if (each := part.strip())]
        self._said: dict[str, deque[Said]] = {}

    async def ask(self) -> Workers:
        """Returns what they say now, and freshness and steps of the last minute."""
        addresses = await _resolved(self._addresses) if self._addresses else announced_targets(WORKER_JOB)
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            found = await asyncio.gather(*(_read(session, address) for address in addresses))
        answers = dict(zip(addresses, found, strict=True))
        self._remember(answers)
        grown = list(self._grown())
        buckets = _summed(grown, "pintally_worker_freshness_seconds_bucket", "le")
        return Workers(
            known=[_worker(address, series) for address, series in answers.items()],
            freshness_p50=quantile(0.5, buckets),
            freshness_p99=quantile(0.99, buckets),
            steps=_steps(grown),
        )

    def _remember(self, answers: Mapping[str, Series | None]) -> None:
        now = monotonic()
        self._said = {address: self._said.get(address, deque()) for address in answers}
        for address, series in answers.items():
            said = self._said[address]
            if series is not None:
                said.append(Said(now, series))
            while said and (said[0].at < now - SECONDS and (len(said) < 2 or said[1].at <= now - SECONDS)):
                said.popleft()

    def _grown(self) -> Iterable[Series]:
        """How much each counter of each worker grew in the last minute; of a new process: what it has."""
        for said in self._said.values():
            if len(said) > 1:
                first, last = said[0].series, said[-1].series
                yield {key: _growth(first.get(key, 0.0), value) for key, value in last.items()}


def quantile(share: float, buckets: Mapping[str, float]) -> float | None:
    """Returns the quantile of a histogram, as Prometheus does: linear in its bucket; None if nothing was observed."""
    bounds = sorted((float(bound), number) for bound, number in buckets.items())
    if not bounds or bounds[-1][1] <= 0:
        return None
    rank = share * bounds[-1][1]
    low, below = 0.0, 0.0
    for bound, number in bounds:
        if number >= rank:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (rank - below) / (number - below) if number > below else bound
        low, below = bound, number
    return low


def _growth(before: float, after: float) -> float:
    return after - before if after >= before else after


async def _resolved(addresses: list[str]) -> list[str]:
    """Every address of each name: a service of several workers has one name."""
    loop = asyncio.get_running_loop()
    found: list[str] = []
    for each in addresses:
        host, _, port = each.rpartition(":")
        try:
            infos = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except (OSError, ValueError):
            found.append(each)  # it is shown as a worker that does not answer
            continue
        ips = sorted({str(info[4][0]) for info in infos if info[0] == socket.AF_INET} or {str(i[4][0]) for i in infos})
        found += [f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in ips]
    return list(dict.fromkeys(found))


async def _read(session: aiohttp.ClientSession, address: str) -> Series | None:
    try:
        async with session.get(f"http://{address}/metrics") as answer:
            if answer.status != 200:
                return None
            return parse(await answer.text())
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


def parse(text: str, prefix: str = "pintally_worker") -> Series:
    """Returns the value of each series whose name begins so. Raises ValueError for what is not of Prometheus."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        if family.name.startswith(prefix)
        for sample in family.samples
    }


def _worker(address: str, series: Series | None) -> WorkerState:
    def found(name: str, **labels: str) -> float:
        return (series or {}).get((f"pintally_worker_{name}", tuple(sorted(labels.items()))), 0.0)

    def value(name: str, **labels: str) -> float:
        number = found(name, **labels)
        return 0.0 if isnan(number) else number

    return WorkerState(
        address=address,
        answers=series is not None,
        partitions=int(value("partitions", state="assigned")),
        paused=int(value("partitions", state="paused")),
        pending_cells=int(value("pending_cells")),
        pending_cells_limit=int(value("pending_cells_limit")),
        restoring=isnan(found("restore_seconds")),  # NaN while under way
    )


def _summed(grown: Iterable[Series], name: str, label: str) -> dict[str, float]:
    sums: dict[str, float] = {}
    for series in grown:
        for (of, labels), value in series.items():
            if of == name:
                key = dict(labels)[label]
                sums[key] = sums.get(key, 0.0) + value
    return sums


def _steps(grown: list[Series]) -> list[Step]:
    """The mean of each step, in the order in which a worker names them."""
    seconds = _summed(grown, "pintally_worker_flush_step_seconds_sum", "step")
    numbers = _summed(grown, "pintally_worker_flush_step_seconds_count", "step")
    return [Step(step=step, seconds=seconds[step] / number) for step, number in numbers.items() if number > 0]
