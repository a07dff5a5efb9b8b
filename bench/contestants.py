"""Who is measured: one line each."""

from typing import Protocol

from bench.ground import Ground
from bench.measured import Measured
from bench.pintally import Pintally
from bench.python_peer import PythonPeer


class Contestant(Protocol):
    """One row of the table."""

    @property
    def name(self) -> str:
        """For `--only` and files."""

    @property
    def title(self) -> str:
        """For people."""

    @property
    def lands(self) -> bool:
        """Whether its counts arrive in ClickHouse."""

    def missing(self) -> str | None:
        """Why it cannot run on this machine; None if it can."""

    def drain(self, ground: Ground, run: int) -> Measured:
        """One run. Raises PeerFailed."""


CONTESTANTS: tuple[Contestant, ...] = (
    Pintally("pintally", "Pintally, 1 worker"),
    Pintally("pintally-2", "Pintally, 2 workers", workers=2),
    Pintally("pintally-create-time", "Pintally, 1 worker, CreateTime topics", timestamps="CreateTime"),
    PythonPeer("aiokafka-raw", "ceiling: aiokafka getmany, raw", "aiokafka_raw", lands=False),
    PythonPeer("aiokafka-counts", "ceiling: aiokafka + msgspec + dict + sink", "aiokafka_counts"),
)
