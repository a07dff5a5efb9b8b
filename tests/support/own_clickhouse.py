"""A ClickHouse with users of its own, each with a settings profile: what an administrator may have set up."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.child import Child
from pintally.tools.engines.clickhouse import clickhouse_program
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.ports import LOOPBACK, free_port


@dataclass(frozen=True)
class Profile:
    """Settings, constraints on some of them (`name` -> XML within), row policies (table -> condition), and grants
    (what stands between GRANT and TO; all rights if there are none).
    """

    settings: Mapping[str, object] = field(default_factory=dict)
    constraints: Mapping[str, str] = field(default_factory=dict)
    only_rows: Mapping[str, str] = field(default_factory=dict)
    grants: Sequence[str] = ()


@contextmanager
def clickhouse_with(directory: Path, profiles: Mapping[str, Profile], database: str) -> Iterator[ClickHouseAddress]:
    """ClickHouse, ready, with the user `default` and one named like each profile; stopped at the end."""
    folder = EngineFolder(directory)
    folder.take()
    try:
        port = free_port()
        addresses = EngineAddresses(f"{LOOPBACK}:1", LOOPBACK, port, free_port((port,)))
        program = clickhouse_program(folder, addresses)
        file = folder.clickhouse / "users.xml"
        made = file.read_text()
        made = made.replace("</profiles>", "".join(_profile(*each) for each in profiles.items()) + "</profiles>")
        made = made.replace("</users>", "".join(_user(*each, database) for each in profiles.items()) + "</users>")
        file.write_text(made)
        child = Child(program, folder.lock_fd, print)
        child.start()
        try:
            child.wait_ready()
            yield ClickHouseAddress(
                host=LOOPBACK, port=port, http_port=addresses.clickhouse_http_port, database=database
            )
        finally:
            child.stop()
    finally:
        folder.release()


def _profile(name: str, profile: Profile) -> str:
    settings = "".join(f"<{each}>{escape(str(value))}</{each}>" for each, value in profile.settings.items())
    constraints = "".join(f"<{each}>{xml}</{each}>" for each, xml in profile.constraints.items())
    return f"<{name}>{settings}<constraints>{constraints}</constraints></{name}>\n"


def _user(name: str, profile: Profile, database: str) -> str:
    policies = "".join(
        f"<{table}><filter>{escape(condition)}</filter></{table}>" for table, condition in profile.only_rows.items()
    )
    databases = f"<databases><{database}>{policies}</{database}></databases>" if policies else ""
    queries = "".join(f"<query>GRANT {escape(grant)}</query>" for grant in profile.grants)
    grants = f"<grants>{queries}</grants>" if queries else ""
    return (
        f"<{name}><password/><networks><ip>::/0</ip></networks><profile>{name}</profile><quota>default</quota>"
        f"{databases}{grants}</{name}>\n"
    )
