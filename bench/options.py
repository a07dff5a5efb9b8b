"""The option `--shapes` of the benchmarks."""

from collections.abc import Iterable

import typer

from bench.shapes import SHAPES, UnknownShape, named

ALL = ",".join(SHAPES)
HELP = f"Shapes of traffic, with commas between: some of {', '.join(SHAPES)}."


def checked(names: str) -> str:
    """The option as it was given, empty if it was not. Raises typer.BadParameter if it names an unknown shape."""
    try:
        named(names or ALL)
    except UnknownShape as unknown:
        raise typer.BadParameter(str(unknown)) from unknown
    return names


def in_order(names: Iterable[str]) -> list[str]:
    """Names of shapes, each once, in the order of SHAPES."""
    found = set(names)
    return [name for name in SHAPES if name in found]
