"""What is installed: the wheel puts `pintally` into site-packages and nothing else, whatever it was built from."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BARE = "import streams.settings\nfrom sinks import base\nfrom schemas.rows import StartRow\n"


def built(what: str, tree: Path, folder: Path) -> Path:
    """Build a `wheel` or an `sdist` of a tree into a folder, as pip does."""
    code = f"import hatchling.build, sys; print(hatchling.build.build_{what}(sys.argv[1]))"
    answer = subprocess.run([sys.executable, "-c", code, folder], cwd=tree, check=True, capture_output=True, text=True)
    return folder / answer.stdout.split()[-1]


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_nothing_but_pintally(wheel: Path) -> None:
    top = {name.split("/")[0] for name in contents(wheel)}
    assert top == {"pintally", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}


def test_the_wheel_holds_each_file_that_the_program_needs_and_each_once(wheel: Path) -> None:
    ours = ("audit", "cli", "features", "serve", "tools")
    rooms = ("schemas", "sinks", "streams", *(f"pintally/{room}" for room in ours))
    files = [file for room in rooms for file in (ROOT / room).rglob("*") if file.is_file()]
    names = [file.relative_to(ROOT) for file in files if "__pycache__" not in file.parts]
    expected = {str("pintally" / Path(*name.parts[name.parts[0] == "pintally" :])) for name in names}
    expected |= {"pintally/__init__.py", "pintally/py.typed"}
    found = {name for name in contents(wheel) if name.startswith("pintally/")}
    assert found == expected
    assert {Path(name).suffix for name in found} >= {".py", ".sql", ".json", ".toml", ".typed", ".html", ".css", ".js"}


def test_the_wheel_is_the_same_from_the_tree_and_from_the_sdist(wheel: Path, tmp_path: Path) -> None:
    sdist = built("sdist", ROOT, tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    again = built("wheel", tmp_path / sdist.name.removesuffix(".tar.gz"), tmp_path)
    assert contents(again) == contents(wheel)


def test_the_wheel_is_the_same_from_what_the_image_is_built_from(wheel: Path, tmp_path: Path) -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert [line for line in lines if not line.startswith(("#", "!"))] == ["*", "**/__pycache__"]
    for name in (line.removeprefix("!") for line in lines if line.startswith("!")):
        source, copy = ROOT / name, tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    assert contents(built("wheel", tmp_path, tmp_path)) == contents(wheel)


def test_what_is_installed_runs_without_the_tree(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['pintally', 'schema', 'save']\n"
        "import pintally.cli; from pathlib import Path\n"
        f"assert Path(pintally.cli.__file__).is_relative_to({str(tmp_path)!r})\n"
        "pintally.cli.main()"
    )
    answer = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert "event_id" in answer.stdout


def test_ruff_refuses_rooms_that_are_imported_without_the_prefix() -> None:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--quiet",
        "--output-format=concise",
        "--stdin-filename",
        "streams/new.py",
        "-",
    ]
    answer = subprocess.run(command, cwd=ROOT, input=BARE, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert [line for line in answer.stdout.splitlines() if "TID251" in line][2:], answer.stdout
