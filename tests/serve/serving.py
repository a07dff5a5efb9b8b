"""`pintally serve` as a whole process, and what it answers."""

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pintally.schemas.outcomes import Outcomes
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.operations.progress import read_progress
from pintally.streams.settings import Settings
from pintally.tools.python import PINTALLY
from tests.e2e.running import BUSY, start_process, wait_for
from tests.support.scrape import ask

Counted = dict[tuple[str, str], int]  # by topic and outcome
NAMES = tuple(Outcomes.__dataclass_fields__)


class Serve:
    """One `pintally serve` process, on a free port unless `serve_port` is given."""

    def __init__(self, settings: Settings, folder: Path, **changes: Any) -> None:
        self.log, self.out = folder / "serve.log", folder / "serve.out"
        changed = settings.changed(**{"serve_port": 0, **changes})
        self.process = start_process([*PINTALLY, "serve"], changed, self.log, self.out)
        self.url = wait_for(self._announced, 60, "serve says where it is")

    def _announced(self) -> str | None:
        assert self.process.poll() is None, self.log.read_text()
        found = re.search(r"http://[^/\s]+", self.out.read_text() if self.out.exists() else "")
        return found[0] if found else None

    def get(self, path: str) -> tuple[int, str]:
        """The status and the text of an answer; (0, reason) if there is none."""
        return ask(self.url + path)

    def state(self) -> dict[str, Any]:
        """The document."""
        status, text = self.get("/api/state.json")
        assert status == 200, text
        document: dict[str, Any] = json.loads(text)
        return document

    def next_state(self) -> dict[str, Any]:
        """A document of a look that began after this call."""
        number = self.state()["number"]
        found: dict[str, Any] = wait_for(
            lambda: state if (state := self.state())["number"] > number + 1 else None, 60, "two more looks"
        )
        return found

    def wait_sentence(self, pattern: str, timeout: float = 60) -> dict[str, Any]:
        """The first document whose sentence has this."""
        try:
            found: dict[str, Any] = wait_for(
                lambda: state if re.search(pattern, (state := self.state())["condition"]["sentence"]) else None,
                timeout,
                f"a sentence with {pattern!r}",
            )
        except TimeoutError as error:
            error.add_note(self.state()["condition"]["sentence"])
            raise
        return found

    def wait_condition(self, kind: str, timeout: float = 60) -> dict[str, Any]:
        """The first condition of this kind, whatever else is wrong."""

        def found() -> dict[str, Any] | None:
            state = self.state()
            return next((each for each in (state["condition"], *state["others"]) if each["kind"] == kind), None)

        condition: dict[str, Any] = wait_for(found, timeout, f"a condition {kind!r}")
        return condition

    def kill(self) -> None:
        """SIGKILL and wait."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM and wait; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30 * BUSY)


@contextmanager
def serving(settings: Settings, folder: Path, **changes: Any) -> Iterator[Serve]:
    """A process of `pintally serve`; killed at the end."""
    serve = Serve(settings, folder, **changes)
    try:
        yield serve
    except BaseException as error:
        error.add_note(f"serve:\n{serve.log.read_text(errors='replace')[-3000:]}")
        raise
    finally:
        serve.kill()


def of_document(state: dict[str, Any]) -> Counted:
    """What a document says is counted."""
    return {(each["topic"], each["outcome"]): each["total"] for each in state["outcomes"]}


def of_ledger(settings: Settings) -> Counted:
    """What the ledger says, read as `pintally status` reads it."""
    found: Counted = {}
    for each in read_progress(settings.kafka, settings.topics, ClickHouseSink(settings.clickhouse)):
        for name in NAMES:
            key = each.source.topic, name
            found[key] = found.get(key, 0) + getattr(each.outcomes, name)
    return found


def between(low: Counted, shown: Counted, high: Counted) -> bool:
    """Whether each number lies between two readings of the ledger."""
    return all(low[key] <= shown[key] <= high[key] for key in low) and low.keys() == shown.keys()
