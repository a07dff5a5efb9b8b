"""The drawing and the tables of docs/architecture.md are what the sources say."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
DRAWING = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)[0]
LINKED = ("schemas", "sinks", "streams")

Arrow = tuple[str, str]


@cache
def modules() -> dict[str, tuple[str, ...]]:
    """What each installed file imports, by its path from the root; links are not followed."""
    tops = [ROOT / name for name in LINKED]
    tops += [path for path in (ROOT / "pintally").iterdir() if path.is_dir() and not path.is_symlink()]
    files = [path for top in tops for path in top.rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): tuple(imported(ast.parse(path.read_text()))) for path in files}


@cache
def nodes() -> dict[str, str]:
    """What a name in the drawing stands for: a folder, a file, or the files right in a folder (`streams/*.py`)."""
    return dict(re.findall(r'(\w+)\["([^"]+)"\]', DRAWING))


@cache
def arrows() -> set[Arrow]:
    """From a room to one that it imports, by path."""
    plain = re.sub(r'\["[^"]+"\]', "", DRAWING)
    return {(nodes()[a], nodes()[b]) for a, b in re.findall(r"^\s*(\w+) --> (\w+)\s*$", plain, re.MULTILINE)}


@cache
def room(path: str) -> str | None:
    """The room of a file or folder."""
    parent = path.rpartition("/")[0]
    names = [path, *(folder for folder in nodes().values() if path.startswith(f"{folder}/")), f"{parent}/*.py"]
    return next((name for name in names if name in nodes().values()), None)


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def path_of(module: str) -> str:
    """Where a module of ours lies, or the name in one: without `.py` where that is not known."""
    parts = module.split(".")
    parts = parts[1:] if parts[1] in LINKED else parts
    while parts and not (ROOT.joinpath(*parts).is_dir() or ROOT.joinpath(*parts).with_suffix(".py").is_file()):
        parts.pop()
    path = "/".join(parts)
    return path if (ROOT / path).is_dir() else f"{path}.py"


@cache
def imports() -> dict[Arrow, str]:
    """Which room imports which, and one file that does."""
    found = {}
    for file, names in modules().items():
        for module in names:
            if module.startswith("pintally."):
                pair = str(room(file)), str(room(path_of(module)))
                if pair[0] != pair[1]:
                    found[pair] = f"{file} imports {module}"
    return found


def reach(start: str) -> set[str]:
    """All rooms behind the arrows of one."""
    found: set[str] = set()
    ahead = {start}
    while ahead:
        ahead = {to for origin, to in arrows() if origin in ahead} - found
        found |= ahead
    return found


def rows(header: str) -> list[list[list[str]]]:
    """The rows of the table with this header, of each cell what it quotes."""
    body = re.split(r"\n\|[-|]+\|\n", PAGE.partition(f"{header}")[2], maxsplit=1)[1].partition("\n\n")[0]
    return [[re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:-1]] for line in body.splitlines()]


def test_each_room_of_the_drawing_is_there_and_each_file_is_in_one() -> None:
    assert [name for name in nodes().values() if not (ROOT / name.removesuffix("/*.py")).exists()] == []
    assert [file for file, names in modules().items() if names and room(file) is None] == []


def test_each_arrow_is_an_import() -> None:
    assert arrows() - imports().keys() == set()


def test_each_import_follows_arrows() -> None:
    assert [how for (origin, to), how in imports().items() if to not in reach(origin)] == []


WAYS = {  # and how many files at most
    "### From the socket to the row": 30,
    "### From the row to the reader": 6,
    "### From the row to the cut": 11,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_way_of_a_record_is_short_and_leads_through_files_that_know_each_other(way: str) -> None:
    files = [name for [file, _] in rows(way) for name in file]
    assert [name for name in files if not (ROOT / name).is_file()] == []
    assert len(set(files)) == len(files) <= WAYS[way]
    known = {(file, path_of(module)) for file in files for module in modules().get(file, ()) if ours(module)}
    strangers = [a for a in files if a.endswith(".py") and not any({(a, b), (b, a)} & known for b in files if b != a)]
    assert strangers == []


def ours(module: str) -> bool:
    return module.startswith("pintally.")


def test_no_arrows_lead_back() -> None:
    assert [name for name in nodes().values() if name in reach(name)] == []


def test_no_arrows_lead_where_the_import_contracts_forbid_it() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    forbidden: list[tuple[str, str]] = []
    for contract in contracts:
        if contract["type"] == "layers":
            layers = [each.split(" | ") for each in contract["layers"]]
            forbidden += [(a, b) for i, below in enumerate(layers) for a in below for up in layers[:i] for b in up]
        elif contract["type"] == "forbidden":
            forbidden += [(a, b) for a in contract["source_modules"] for b in contract["forbidden_modules"]]
    ours = [(a, b) for a, b in forbidden if a.startswith("pintally.") and b.startswith("pintally.")]
    assert ours
    assert [(a, b) for a, b in ours for origin in inside(a) for to in inside(b) if to in reach(origin)] == []


def inside(module: str) -> list[str]:
    """The rooms that a module of a contract is in, or consists of."""
    path = path_of(module)
    within = [name for name in nodes().values() if name.startswith(f"{path}/") or name == path]
    return within or [str(room(path))]


def test_libraries_are_imported_where_the_table_says_and_nowhere_else() -> None:
    table = {library: places for libraries, places in rows("| Library | Only here |") for library in libraries}
    found: dict[str, set[str]] = {library: set() for library in table}
    for file, names in modules().items():
        for library in {name.partition(".")[0] for name in names} & table.keys():
            found[library].add(file)
    strays = {(name, file) for name in table for file in found[name] if not file.startswith(folders(table[name]))}
    unused = {
        (name, at) for name in table for at in table[name] if not any(f.startswith(f"{at}/") for f in found[name])
    }
    assert (strays, unused) == (set(), set())


def folders(names: list[str]) -> tuple[str, ...]:
    return tuple(f"{name}/" for name in names)


def test_the_table_of_rooms_has_each_folder_once() -> None:
    named = [name for [folder, _] in rows("| Folder | What is in it |") for name in folder]
    assert sorted(named) == sorted({file.rpartition("/")[0] for file in modules()})
