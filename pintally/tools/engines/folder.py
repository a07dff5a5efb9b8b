"""The folder of the local engines: who has it, what lies where, and which ports it had last time."""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import TextIO

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.brokers import folder_of
from pintally.tools.engines.ports import free_port, given_port, is_free
from pintally.tools.engines.shards import shard_folder

LONGEST_PATH = 3_600  # bytes: names of topics and files come on top, and Linux takes 4,095
LEAVING_LIMIT_S = 40.0  # how long engines may take to stop after their parent died


class EngineFolder:
    """`kafka/`, `clickhouse/`, `logs/`, `ports.json` and `lock` under one path, held by one process at a time.

    Further brokers of Kafka have `kafka-2/` and `kafka-3/`, further shards of ClickHouse `clickhouse-1/` and so on.

    The lock is inherited by the processes that guard the engines, so it is free only when the last engine is gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = _usable(path)
        self.kafka = self.broker(1)
        self.clickhouse = self.shard(0)
        self.logs = self.path / "logs"
        try:
            for folder in (self.kafka, self.clickhouse, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            self._lock: TextIO = (self.path / "lock").open("a+")
        except OSError as error:
            raise PintallyError(
                f"cannot use the folder {self.path}: {error.strerror}", "Choose a folder you may write to."
            ) from error

    def broker(self, number: int) -> Path:
        """The folder of one broker."""
        return self.path / folder_of(number)

    def shard(self, number: int) -> Path:
        """The folder of one shard of ClickHouse."""
        return self.path / shard_folder(number)

    def take(self) -> None:
        """Lock the folder. Waits for engines whose parent has died. Raises PintallyError if another process has it."""
        deadline = time.monotonic() + LEAVING_LIMIT_S
        while not self._try_lock():
            owner = self._owner()
            if _is_alive(owner) or time.monotonic() > deadline:
                self._lock.close()
                raise PintallyError(
                    f"the engines in {self.path} are in use by process {owner}",
                    "End it, or choose another folder with --directory.",
                )
            time.sleep(0.1)
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    @property
    def lock_fd(self) -> int:
        """The file descriptor that holds the lock, to be inherited."""
        return self._lock.fileno()

    def release(self) -> None:
        """Give the folder back (it is free once the guards have ended as well)."""
        self._lock.close()

    def choose_ports(self, asked: dict[str, int | None]) -> dict[str, int]:
        """A port for each name: the asked one, else last time's if free, else a free one; remembered in `ports.json`.

        Raises PintallyError if an asked port is in use or asked twice.
        """
        ports = {name: given_port(port, name) for name, port in asked.items() if port is not None}
        if len(set(ports.values())) < len(ports):
            listed = ", ".join(f"{name} {port}" for name, port in ports.items())
            raise PintallyError(f"one port is asked for twice ({listed})", "Give each engine its own.")
        for name, port in self._last_ports().items():
            if asked.get(name, 0) is None and port not in ports.values() and is_free(port):
                ports[name] = port
        for name in asked:
            ports.setdefault(name, free_port(ports.values()))
        (self.path / "ports.json").write_text(json.dumps(ports, indent=2))
        return ports

    def _last_ports(self) -> dict[str, int]:
        try:
            return {str(name): int(port) for name, port in json.loads((self.path / "ports.json").read_text()).items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _owner(self) -> int:
        self._lock.seek(0)
        text = self._lock.read().strip()
        return int(text) if text.isdigit() else 0


def _usable(path: Path) -> Path:
    """The folder in full, if Java can name it and all that will lie in it."""
    choose = "Choose another folder with --directory."
    try:
        folder = path.absolute()
        os.fsencode(folder).decode()
    except FileNotFoundError as error:
        raise PintallyError("the current folder does not exist any more", "Change to one that does.") from error
    except UnicodeDecodeError as error:
        raise PintallyError(f"cannot use the folder {os.fsencode(folder)!r}: its name is not UTF-8", choose) from error
    if len(os.fsencode(folder)) > LONGEST_PATH:
        raise PintallyError(f"cannot use a folder whose path is longer than {LONGEST_PATH:,} bytes", choose)
    return folder


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
