"""A peer in Python: one script of peers/, run by the benchmark's own environment."""

from dataclasses import dataclass
from pathlib import Path

from bench.drain import drain
from bench.ground import Ground
from bench.measured import Measured
from bench.venv import peers_python

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class PythonPeer:
    """A module of bench.peers and its arguments."""

    name: str
    title: str
    crash: str
    module: str
    arguments: tuple[str, ...] = ()
    first: int | None = None  # records it gets; None: all
    lands: bool = True

    def missing(self) -> str | None:
        """Why it cannot run on this machine."""
        return None

    def drain(self, ground: Ground, run: int) -> Measured:
        """One run. Raises PeerFailed."""
        command = [str(peers_python()), "-m", f"bench.peers.{self.module}", *self.arguments]
        log = ground.log(self.first)
        return drain(self.name, run, command, {"PYTHONPATH": str(ROOT)}, log, ground.engines, ground.folder, self.lands)
