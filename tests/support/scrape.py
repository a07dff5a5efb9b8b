"""What a worker and `pintally serve` answer over HTTP: metrics, and of a worker whether it lives and is ready."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Series = Mapping[tuple[str, tuple[str, ...]], float]  # (name of the sample, values of its labels by their names)
SAID = re.compile(r"metrics and health are served at (http://\S+)")


def url_in(log: Path) -> str | None:
    """Where a worker that writes this log serves; None if it has not said so."""
    found = SAID.findall(log.read_text(errors="replace"))
    return found[-1] if found else None


def ask(url: str, timeout: float = 30.0) -> tuple[int, str]:
    """Status and text; (0, reason) if nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def lives(url: str) -> bool:
    """Whether /livez answers 200."""
    return ask(f"{url}/livez")[0] == 200


def ready(url: str) -> tuple[bool, str]:
    """What /readyz says: whether it is ready, and the reason if not."""
    status, text = ask(f"{url}/readyz")
    document: dict[str, Any] = json.loads(text) if status else {"reason": text}
    return status == 200, str(document["reason"])


def scrape(url: str) -> Series:
    """Every series. Raises AssertionError unless the worker answers."""
    status, text = ask(f"{url}/metrics")
    assert status == 200, text
    return series_of(text)


def series_of(text: str) -> Series:
    """The series of an exposition."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(series: Series, name: str) -> float:
    """The sum of all series of this name."""
    return sum(value for (of, _), value in series.items() if of == name)
