"""An older ClickHouse: the real server out of a wheel of chdb, whose library has its entry."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.cache import fetch_once
from pintally.tools.engines.child import Child, Program
from pintally.tools.engines.clickhouse import explain_clickhouse
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.ports import LOOPBACK
from pintally.tools.engines.ready import clickhouse_answers
from tests.compatibility.versions import LOCKS

SERVER = Path(__file__).parent / "clickhouse_server.py"
CONFIG = """\
<clickhouse>
  <logger><level>error</level><console>1</console></logger>
  <listen_host>{host}</listen_host>
  <tcp_port>{port}</tcp_port>
  <http_port>{http_port}</http_port>
  <path>{data}/</path>
  <user_directories><users_xml><path>{users}</path></users_xml></user_directories>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <mark_cache_size>268435456</mark_cache_size>
</clickhouse>
"""
USERS = """\
<clickhouse>
  <profiles><default/></profiles>
  <users>
    <default>
      <password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
  </users>
  <quotas><default/></quotas>
</clickhouse>
"""


def clickhouse_locks() -> dict[str, Path]:
    """Version -> the file that names its wheel, with its SHA-256."""
    return {lock.stem.removeprefix("clickhouse-"): lock for lock in sorted(LOCKS.glob("clickhouse-*.txt"))}


def library(version: str) -> Path:
    """The library, fetched at first use."""
    [found] = fetch_once(f"clickhouse-server-{version}", lambda to: _fetch(clickhouse_locks()[version], to)).glob(
        "chdb/_chdb.*.so"
    )
    return found


def _fetch(lock: Path, to: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--only-binary=:all:", "--require-hashes", "-r", str(lock), "-d", str(to)], check=True)
    [wheel] = to.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(to, [name for name in archive.namelist() if name.endswith(".so")])
    wheel.unlink()


@contextmanager
def clickhouse(version: str, directory: Path) -> Iterator[EngineAddresses]:
    """The server of that version, ready; it is stopped at the end."""
    folder = EngineFolder(directory)
    folder.take()
    try:
        ports = folder.choose_ports({"clickhouse": None, "clickhouse_http": None})
        addresses = EngineAddresses("", LOOPBACK, ports["clickhouse"], ports["clickhouse_http"])
        users, config = folder.clickhouse / "users.xml", folder.clickhouse / "config.xml"
        users.write_text(USERS)
        where = {"host": LOOPBACK, "port": addresses.clickhouse_port, "http_port": addresses.clickhouse_http_port}
        config.write_text(CONFIG.format(**where, data=folder.clickhouse / "data", users=users))
        command = [sys.executable, "-I", "-S", str(SERVER), str(library(version)), f"--config-file={config}"]
        log = folder.logs / "clickhouse.log"
        program = Program(
            name="ClickHouse",
            command=command,
            folder=folder.clickhouse,
            environment=os.environ,
            stop="signal",
            log=log,
            answers=lambda: clickhouse_answers(addresses),
            explain=explain_clickhouse,
        )
        child = Child(program, folder.lock_fd, report=lambda _line: None)
        child.start()
        try:
            child.wait_ready(120)
            yield addresses
        finally:
            child.stop()
    finally:
        folder.release()
