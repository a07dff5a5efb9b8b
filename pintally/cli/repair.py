"""`pintally repair`: rows that are not what the log says are written anew."""

import json as json_text
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pintally.cli.console import data, print_json, progress
from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.operations.change.cluster_state import read_cluster_state
from pintally.streams.operations.repair.choice import Choice, Repair
from pintally.streams.operations.repair.repair import repair as mend
from pintally.streams.settings import load_settings

TIMEOUT_SECONDS = 600.0  # a sum over all cells may take minutes


def repair(
    source: Annotated[
        list[str] | None, typer.Option(help="Fold all slices of this source, `topic[partition]`; may be repeated.")
    ] = None,
    slice_: Annotated[
        list[str] | None,
        typer.Option(
            "--slice", help="With one --source: only this slice, as `verify` names it, `slice_block/arrived_at`."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Fold every slice that the log still holds.")] = False,
    findings: Annotated[
        str | None, typer.Option(help="What `pintally verify --json` found: a file, or - for stdin.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Mend rows in ClickHouse from the log, while workers go on.

    Folds slices again and writes what their rows must be.

    Without options it asks ClickHouse which slices do not add up: their cells, dead letters or ledger rows are missing
    or wrong, a partition was dropped, a row of replaced rules came late. That is quick, and does not see two mistakes
    that cancel out: `verify` does, and its findings can be given here. What `repair` writes are absolute counts with a
    higher version; rows are deleted only where the log has no such slice or record. Sealed hours that it touches are
    read from minutes until the next sealing.

    Exit codes: 0 done, or nothing to do; 2 something is left that it could not mend, and it is named.

    Example:

        pintally repair
        pintally verify --json | pintally repair --findings -
    """
    settings = load_settings()
    choice = _choice(source or [], slice_ or [], every, findings)
    sink = ClickHouseSink(settings.clickhouse, TIMEOUT_SECONDS)
    with sink.session() as session:
        found = read_cluster_state(settings, sink, session)
        known = {str(each) for each in found.ledgers}
        if unknown := {name for name in choice.sources | {name for name, _ in choice.slices} if name not in known}:
            raise PintallyError(
                f"{', '.join(sorted(unknown))}: neither Kafka nor the ledger knows it", "`pintally status` lists all."
            )
        done = mend(settings, session, found, choice, _tell(quiet=as_json))
    if as_json:
        print_json({**asdict(done), "exit_code": done.exit_code})
    else:
        _print(done)
    raise typer.Exit(done.exit_code)


def _tell(*, quiet: bool) -> Any:
    def tell(source: str) -> None:
        if not quiet and progress.is_terminal:
            progress.print(f"looking at {source}", markup=False)

    return tell


def _choice(sources: list[str], slices: list[str], every: bool, findings: str | None) -> Choice:
    if findings is not None:
        return choice_of(_read(findings))
    if slices and len(sources) != 1:
        raise PintallyError("--slice names a slice of one source", "Give --source 'topic[partition]' once.")
    if slices:
        named = frozenset((sources[0], _name(text)) for text in slices)
        return Choice(slices=named, only_named=True)
    return Choice(every=every, sources=frozenset(sources), only_named=bool(sources))


def _name(text: str) -> tuple[int, int]:
    """slice_block and arrived_at of a slice as `verify` writes it."""
    try:
        slice_block, arrived_at = text.split("/")
        return int(slice_block), int(arrived_at)
    except ValueError:
        raise PintallyError(
            f"--slice {text}: not the name of a slice", "Give slice_block/arrived_at, as verify shows it."
        ) from None


def _read(file: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        document = json_text.loads(text)
        if not {"shown", "findings"} <= document.keys():
            raise ValueError("it has no findings")
    except (OSError, ValueError, AttributeError) as error:
        raise PintallyError(
            f"--findings {file}: not what `pintally verify --json` prints ({error})", "Give its output unchanged."
        ) from error
    return dict(document)


def choice_of(document: dict[str, Any]) -> Choice:
    """What the findings of `verify` name. Of a kind of which it does not show all, the whole sources it shows."""
    shown = document["shown"]
    of_kind = {kind: [finding for finding in shown if finding["kind"] == kind] for kind in document["findings"]}
    cut_off = {kind for kind, count in document["findings"].items() if count > len(of_kind[kind])}
    in_slices = [finding for finding in shown if "[" in finding["source"]]
    sources = {finding["source"] for finding in in_slices if finding["kind"] in cut_off or "slice" not in finding}
    slices = {(f["source"], _name(f["slice"])) for f in in_slices if "slice" in f and f["source"] not in sources}
    return Choice(sources=frozenset(sources), slices=frozenset(slices))


def _print(done: Repair) -> None:
    for each in done.mended:
        parts = [
            f"{each.cells:,} cells" if each.cells else "",
            f"{each.letters:,} dead letters" if each.letters else "",
        ]
        parts.append("its ledger row" if each.ledger else "")
        words = ", ".join(part for part in parts if part)
        data.print(f"mended {each.source} offsets {each.start:,} to {each.end:,}: {words}", markup=False)
    for stray in done.removed:
        data.print(f"deleted, the log has no such slice: {stray}", markup=False)
    for place in done.waiting:
        data.print(f"not yet: {place}", markup=False)
    for place in done.gone:
        data.print(f"cannot be folded again: {place}", markup=False)
    if done.gone:
        data.print("  Restore ClickHouse or the log, or run `pintally accept-loss` to give up what is gone.")
    if done.waiting:
        data.print("  Run `pintally repair` again when workers have caught up (`pintally status`).")
    data.print(f"{done.folded:,} slices folded again, {len(done.mended):,} of them mended")
