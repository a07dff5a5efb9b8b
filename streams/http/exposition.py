"""Metrics as Prometheus reads them, each as schemas/metrics.py declares it."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate
from math import inf
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from pintally.schemas.metrics import METRICS, Kind

# The library names another version for the same text, which Prometheus before 3.0 does not know.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
TYPES: Final = ("counter", "gauge", "histogram")
Sample = tuple[str, tuple[str, ...], float]  # name, values of the labels in the order of the declaration, value

disable_created_metrics()  # type: ignore[no-untyped-call]  # Prometheus' text format would show each as a gauge


def histogram(name: str) -> Histogram:
    """A new histogram of this name; it is in no registry."""
    metric = METRICS[name]
    return Histogram(name, metric.help, metric.labels, buckets=metric.buckets, registry=None)


class Weighted:
    """A histogram in which a value may stand for many things that were measured at once."""

    def __init__(self, name: str) -> None:
        self._metric = METRICS[name]
        self._bounds = (*self._metric.buckets, inf)
        self._numbers: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, labels: tuple[str, ...], value: float, number: int) -> None:
        """So many things had this value."""
        numbers = self._numbers.setdefault(labels, [0] * len(self._bounds))
        numbers[bisect_left(self._bounds, value)] += number
        self._sums[labels] = self._sums.get(labels, 0.0) + value * number

    def collect(self) -> Iterator[Metric]:
        """The metric, as the library wants it."""
        family = HistogramMetricFamily(self._metric.name, self._metric.help, labels=self._metric.labels)
        for labels, numbers in self._numbers.items():
            below = zip(map(floatToGoString, self._bounds), accumulate(numbers), strict=True)
            family.add_metric(labels, [*below], self._sums[labels])
        yield family


def families(samples: Iterable[Sample]) -> Iterator[Metric]:
    """Counters and gauges as the library wants them, in the order of schemas/metrics.py."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample[0], []).append(sample)
    for name in (name for name in METRICS if name in by_name):
        metric = METRICS[name]
        make = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
        family = make(name, metric.help, labels=metric.labels)
        for _, labels, value in by_name[name]:
            family.add_metric(labels, value)
        yield family


def answer(registry: CollectorRegistry) -> web.Response:
    """Returns what a registry has, in the text format that every Prometheus reads."""
    return web.Response(body=text_of(registry), headers={"Content-Type": CONTENT_TYPE})


def text_of(registry: Collector) -> bytes:
    """Returns the same bytes as the library's `generate_latest`, for the three types of metrics that there are here.

    The library writes the labels of each series anew, which costs more than all else of a scrape.
    """
    lines: list[str] = []
    for metric in registry.collect():
        if metric.type not in TYPES:
            raise TypeError(f"{metric.name} is a {metric.type}")
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        said = metric.documentation.replace("\\", r"\\").replace("\n", r"\n")
        lines.append(f"# HELP {name} {said}\n# TYPE {name} {metric.type}\n")
        values = map(floatToGoString, (sample.value for sample in metric.samples))
        lines += [
            f"{sample.name}{_labels(*sample.labels.items())} {value}\n"
            for sample, value in zip(metric.samples, values, strict=True)
        ]
    return "".join(lines).encode()


@lru_cache(maxsize=1 << 14)
def _labels(*labels: tuple[str, str]) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in sorted(labels))
    return f"{{{','.join(pairs)}}}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
