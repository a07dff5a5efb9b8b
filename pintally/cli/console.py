"""What the commands share for output: data on stdout, everything else on stderr."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

# A table that goes into a file or a pipe is as wide as it needs to be.
data = Console(highlight=False, width=None if Console().is_terminal else 160)
progress = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(value, indent=2, default=str))


def table(title: str | None, *columns: str, left: int = 1) -> Table:
    """Returns an empty table. The first `left` columns hold text, the others numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number < left else "right", no_wrap=True)
    return made


def progress_bar(what: str, *, quiet: bool = False) -> Progress:
    """Returns a progress bar on stderr that vanishes at its end; `quiet` shows none."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=progress, transient=True, disable=quiet)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print `what` with a tick and the seconds it took when the block has ended; with a cross if it failed."""
    began = monotonic()
    try:
        yield
    except BaseException:
        progress.print(f"[red]✗[/red] {what} ({monotonic() - began:.1f} s)")
        raise
    progress.print(f"[green]✓[/green] {what} ({monotonic() - began:.1f} s)")
