"""ClickHouse as clickhouse-local out of libchdb.so, made to listen like a server."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.child import Program
from pintally.tools.engines.clickhouse_data import DATA, make_shards
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.library import clickhouse_library
from pintally.tools.engines.ready import clickhouse_answers
from pintally.tools.engines.shards import Shard

LISTEN = Path(__file__).parent / "listen.py"

# ClickHouse runs in its data folder, and all paths begin there: see kafka.py. No other relative path than ./ would do,
# as it puts that of its data before some paths twice.
CONFIG = """\
<clickhouse>
  <logger>
    <level>error</level>
    <console>0</console>
    <log>../../logs/{log}-server.log</log>
    <size>20M</size>
    <count>1</count>
  </logger>
  <log-level>error</log-level>
  <listen_host>{host}</listen_host>
  <tcp_port>{port}</tcp_port>
  <http_port>{http_port}</http_port>
  <path>./</path>
  <tmp_path>tmp/</tmp_path>
  <user_files_path>user_files/</user_files_path>
  <backups><allowed_path>backups/</allowed_path></backups>
  <format_schema_path>format_schemas/</format_schema_path>
  <user_directories><users_xml><path>users.xml</path></users_xml></user_directories>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <max_server_memory_usage>4000000000</max_server_memory_usage>
  <mark_cache_size>268435456</mark_cache_size>
  <background_pool_size>4</background_pool_size>
  <merge_tree>
    <number_of_free_entries_in_pool_to_execute_mutation>4</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>2</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>4</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
  </merge_tree>
</clickhouse>
"""

# clickhouse-local has implicit_select and introspection on, a server has not.
PROFILE = {"implicit_select": 0, "allow_introspection_functions": 0}
# A server that ends soon does not ask the same so often that it pays to make machine code of it.
BRIEF = {"compile_expressions": 0, "compile_aggregate_expressions": 0, "compile_sort_description": 0}

USERS = """\
<clickhouse>
  <profiles>
    <default>
{profile}
    </default>
  </profiles>
  <users>
    <default>
      <password/>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
  </users>
  <quotas><default/></quotas>
</clickhouse>
"""

LISTENING = "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP"


def clickhouse_program(folder: EngineFolder, addresses: EngineAddresses) -> Program:
    """ClickHouse on loopback with the user `default`, no password. Raises PintallyError if it cannot be fetched."""
    alone = Shard(0, addresses.clickhouse_port, addresses.clickhouse_http_port)
    return clickhouse_programs(folder, addresses, [alone])[0]


def clickhouse_programs(
    folder: EngineFolder, addresses: EngineAddresses, shards: Sequence[Shard], *, brief: bool = False
) -> list[Program]:
    """The servers of all shards, as `clickhouse_program` makes one; `brief` ones end within minutes."""
    library = clickhouse_library()
    make_shards(folder, len(shards))
    profile = PROFILE | BRIEF if brief else PROFILE
    return [_program(folder, addresses.at(shard), shard, library, profile) for shard in shards]


def _program(
    folder: EngineFolder, addresses: EngineAddresses, shard: Shard, library: Path, profile: Mapping[str, int]
) -> Program:
    at = folder.shard(shard.number)
    _write_configuration(at, shard.folder, addresses, profile)
    # Interactive, on a terminal: otherwise any error of one connection ends the process.
    interactive = ["--interactive", "--disable_suggestion", "--history_file=/dev/null"]
    arguments = ["--config-file=../config.xml", "--path=./", *interactive, "--query", LISTENING]
    return Program(
        name=shard.name,
        command=[sys.executable, "-I", "-S", str(LISTEN), str(library), *arguments],
        folder=at / DATA,
        environment=os.environ,
        stop="terminal",
        log=folder.logs / f"{shard.folder}.log",
        answers=lambda: clickhouse_answers(addresses),
        explain=explain_clickhouse,
    )


def explain_clickhouse(log: str) -> PintallyError | None:
    """Known reasons in ClickHouse's output for not starting."""
    codes = set(re.findall(r"Code: (\d+)", log))
    if "210" in codes:
        return PintallyError(
            "ClickHouse's port is in use",
            "Run the command again, or choose ports with --clickhouse-port and --clickhouse-http-port.",
        )
    if "76" in codes:
        return PintallyError(
            "ClickHouse's data folder is in use by another ClickHouse",
            "End it, or choose another folder with --directory.",
        )
    return None


def _write_configuration(at: Path, name: str, addresses: EngineAddresses, profile: Mapping[str, int]) -> None:
    settings = "\n".join(f"      <{setting}>{value}</{setting}>" for setting, value in profile.items())
    (at / "users.xml").write_text(USERS.format(profile=settings))
    (at / "config.xml").write_text(
        CONFIG.format(
            log=name,
            host=addresses.clickhouse_host,
            port=addresses.clickhouse_port,
            http_port=addresses.clickhouse_http_port,
        )
    )
