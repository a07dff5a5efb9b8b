"""What the workers say of themselves: their `/metrics`, all at once, so that a slow one holds nobody up."""

import asyncio
import socket
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from math import isnan
from time import monotonic, time

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from pintally.serve.findings import ENGINES
from pintally.serve.state import LettersRefused, Step, Workers, WorkerState
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
        self._last: dict[str, Series] = {}  # the last answer of those who ever answered
        self._visible_at: float | None = None
        self._silent: dict[str, float] = {}  # since when those do not answer who do not

    async def ask(self) -> Workers:
        """Returns what they say now, and freshness and steps of the last minute."""
        addresses = await _resolved(self._addresses) if self._addresses else announced_targets(WORKER_JOB)
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            found = await asyncio.gather(*(_read(session, address) for address in addresses))
        ended = {address for address, answer in zip(addresses, found, strict=True) if answer is Silence.ENDED}
        answers = {
            address: None if isinstance(answer, Silence) else answer
            for address, answer in zip(addresses, found, strict=True)
        }
        self._remember(answers)
        grown = list(self._grown())
        buckets = _summed(grown, "pintally_worker_freshness_seconds_bucket", "le")
        return Workers(
            known=[
                _worker(address, series, self._last.get(address), self._silent.get(address), address in ended)
                for address, series in answers.items()
            ],
            freshness_p50=quantile(0.5, buckets),
            freshness_p99=quantile(0.99, buckets),
            visible_at=self._visible_at,
            steps=_steps(grown),
        )

    def _remember(self, answers: Mapping[str, Series | None]) -> None:
        now = monotonic()
        self._said = {address: self._said.get(address, deque()) for address in answers}
        for address, series in answers.items():
            said = self._said[address]
            if series is None:
                self._silent.setdefault(address, time())
            else:
                if said and _visible(series) != _visible(said[-1].series):
                    self._visible_at = time()
                said.append(Said(now, series))
                self._last[address] = series
                self._silent.pop(address, None)
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


def _visible(series: Series) -> float:
    """How many records a worker has made visible."""
    return sum(value for (of, _), value in series.items() if of == "pintally_worker_freshness_seconds_count")


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


class Silence(Enum):
    """Why there is no answer."""

    ENDED = "nothing listens there"
    HANGS = "something listens there, and does not answer"


async def _read(session: aiohttp.ClientSession, address: str) -> Series | Silence:
    try:
        async with session.get(f"http://{address}/metrics") as answer:
            return parse(await answer.text()) if answer.status == 200 else Silence.HANGS
    except aiohttp.ClientConnectorError as error:
        return Silence.ENDED if isinstance(error.os_error, ConnectionRefusedError) else Silence.HANGS
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return Silence.HANGS


def parse(text: str, prefix: str = "pintally_worker") -> Series:
    """Returns the value of each series whose name begins so. Raises ValueError for what is not of Prometheus."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        if family.name.startswith(prefix)
        for sample in family.samples
    }


def _worker(
    address: str, series: Series | None, last: Series | None, silent_since: float | None, ended: bool
) -> WorkerState:
    """What it says, or who it was: `last` is its last answer."""

    def found(name: str, **labels: str) -> float:
        return (series or {}).get((f"pintally_worker_{name}", tuple(sorted(labels.items()))), 0.0)

    def value(name: str, **labels: str) -> float:
        number = found(name, **labels)
        return 0.0 if isnan(number) else number

    return WorkerState(
        address=address,
        member=_label(last or {}, "pintally_worker_build_info", "member") or None,
        answers=series is not None,
        heard=last is not None,
        silent_since=silent_since,
        ended=ended,
        away={engine: seconds for engine in ENGINES if (seconds := value("engine_away_seconds", engine=engine))},
        letters_refused=_letters_refused(series or {}),
        flushed_at=value("last_flush_timestamp_seconds") or None,
        process_id=int((last or {}).get(("pintally_worker_process_id", ()), 0)) or None,
        sources=_sources(last or {}),
        partitions=int(value("partitions", state="assigned")),
        paused=int(value("partitions", state="paused")),
        pending_cells=int(value("pending_cells")),
        pending_cells_limit=int(value("pending_cells_limit")),
        restoring=isnan(found("restore_seconds")),  # NaN while under way
    )


def _letters_refused(series: Series) -> LettersRefused | None:
    """The dead-letter topic that takes nothing, if there is one."""
    for (name, labels), seconds in series.items():
        if name == "pintally_worker_dead_letters_refused_seconds" and seconds > 0:
            return LettersRefused(seconds=seconds, **dict(labels))
    return None


def _label(series: Series, name: str, label: str) -> str:
    """The label of the first series of a metric; empty if there is none."""
    return next((dict(labels).get(label, "") for of, labels in series if of == name), "")


def _sources(series: Series) -> frozenset[tuple[str, int]]:
    """The topics and partitions that are assigned."""
    return frozenset(
        (named["topic"], int(named["partition"]))
        for of, labels in series
        if of == "pintally_worker_source_offset" and (named := dict(labels))["position"] == "folded"
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
