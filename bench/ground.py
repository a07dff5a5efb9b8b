"""What the contestants of one benchmark share: engines, logs made once, a folder, the pace of a slow peer."""

import uuid
from dataclasses import dataclass, field
from pathlib import Path

from bench.engines import Engines, say
from bench.log import Log, drop_topics, make_log
from bench.work import Work


@dataclass
class Ground:
    """Where a benchmark runs. Topics have `mark` in their name; `close` deletes them."""

    engines: Engines
    folder: Path
    work: Work
    slow_scale: float = 1.0  # of the records that slow peers get
    last_run: int = 1  # after which `pintally verify` is asked as well
    mark: str = field(default_factory=lambda: f"bench{uuid.uuid4().hex[:8]}")
    logs: dict[int, Log] = field(default_factory=dict)

    def log(self, events: int | None) -> Log:
        """The log of all events, or of the first `events` for a slow peer; made when it is first asked for."""
        wanted = self.work.events if events is None else min(self.work.events, int(events * self.slow_scale))
        if wanted not in self.logs:
            say(f"filling and recounting a log of {wanted:,} records ...")
            self.logs[wanted] = make_log(self.engines.settings, self.work, f"{self.mark}.first{wanted}", wanted)
        return self.logs[wanted]

    def close(self) -> None:
        """Delete the topics."""
        drop_topics(self.engines.settings, self.mark)
