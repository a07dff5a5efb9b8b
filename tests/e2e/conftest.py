"""The package with a fourth action, for processes that tests start; and two servers of ClickHouse as shards."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import pintally as package
from pintally.tools.engines import Engines, local_engines
from tests.support.engines import skip_where_none_run

ROOT = Path(__file__).parents[2]
ROW = '    SHARE = 4, "share", "shares", "shares", "Somebody sent a pin to somebody."\n'
ROW_OF_AUDIT = '    (4, "share", "shares"),\n'
EXAMPLE = "schemas/examples/valid/share.json"


@pytest.fixture(scope="module")
def fourth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with the row."""
    folder = tmp_path_factory.mktemp("fourth")
    shutil.copytree(Path(package.__file__).parent, folder / "pintally")
    put_after(folder / "pintally/schemas/actions.py", "    CLOSEUP = 3", ROW)
    put_after(folder / "pintally/audit/contract.py", "    (3, ", ROW_OF_AUDIT)
    save = (ROOT / "schemas/examples/valid/only_required_fields.json").read_text()
    (folder / "pintally" / EXAMPLE).write_text(save.replace('"save"', '"share"'))
    return folder


@pytest.fixture
def four_actions(fourth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of this test take `pintally` from there."""
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("PYTHONPATH", f"{fourth}:{ROOT}")


@pytest.fixture(scope="session")
def two_shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Kafka, and two servers of ClickHouse. A test that takes one down brings it back."""
    skip_where_none_run()
    with local_engines(tmp_path_factory.mktemp("shards"), clickhouse_shards=2) as engines:
        yield engines


def put_after(file: Path, start: str, row: str) -> None:
    """Insert a row after the one that begins so."""
    lines = file.read_text().splitlines(keepends=True)
    (place,) = [number for number, line in enumerate(lines) if line.startswith(start)]
    file.write_text("".join([*lines[: place + 1], row, *lines[place + 1 :]]))
