"""`pintally repair`: rewrite rows in ClickHouse that differ from the log."""

import json as json_text
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pintally.cli.console import data, print_json, progress
from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.connection import MAINTENANCE_SECONDS
from pintally.streams.operations.change.cluster_state import read_cluster_state
from pintally.streams.operations.repair.choice import Choice, Repair
from pintally.streams.operations.repair.repair import repair as run
from pintally.streams.settings import load_settings
from pintally.streams.worker.servers import maintained_sink_of


def repair(
    source: Annotated[
        list[str] | None, typer.Option(help="Recount all slices of this source, `topic[partition]`; may be repeated.")
    ] = None,
    slice_: Annotated[
        list[str] | None,
        typer.Option(
            "--slice", help="With one --source: only this slice, `slice_block/arrived_at` as `verify` prints it."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Recount every slice that the log still holds.")] = False,
    findings: Annotated[
        str | None, typer.Option(help="The output of `pintally verify --json`: a file, or - for stdin.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Repair rows in ClickHouse from the log, while workers run.

    The command recounts slices from the log and writes the rows that they must have.

    Without options it asks ClickHouse which slices do not add up: cells, dead letters or ledger rows are missing or
    wrong, a partition was dropped, or an old worker inserted rows of superseded rules. This is fast, but two errors
    that cancel out are not found. `verify` finds them: give its output to --findings. `repair` writes absolute counts
    with a higher version. It deletes rows only if the log has no such slice or record. Readers take sealed hours that
    change from the minutes until the next sealing.

    Sealed hours and days, and tables of features, that are not what their cells say are opened, and listed; the next
    sealing writes them anew. Cuts that are gone between others are put back. Sources that have not reached the newest
    cut are listed, as when the ledger was restored from a copy.

    Where several servers share the pins, it begins with what any of them lacks, and writes to each the cells of its
    pins. Rows of a pin on another shard stay: `verify` names them.

    Exit codes: 0 done, or nothing to do; 2 something could not be repaired, and is listed.

    Example:

        pintally repair
        pintally verify --json | pintally repair --findings -
    """
    settings = load_settings(over_shards=True)
    choice = _choice(source or [], slice_ or [], every, findings)
    sink = maintained_sink_of(settings.clickhouse, MAINTENANCE_SECONDS)
    with sink.session() as session:
        found = read_cluster_state(settings.kafka, settings.topics, sink, session)
        known = {str(each) for each in found.ledgers}
        if unknown := {name for name in choice.sources | {name for name, _ in choice.slices} if name not in known}:
            raise PintallyError(
                f"{', '.join(sorted(unknown))}: unknown to Kafka and to the ledger",
                "`pintally status` lists all sources.",
            )
        done = run(*settings.sources, session, found, choice, _tell(quiet=as_json))
    if as_json:
        print_json({**asdict(done), "exit_code": done.exit_code})
    else:
        _print(done)
    raise typer.Exit(done.exit_code)


def _tell(*, quiet: bool) -> Any:
    def tell(source: str) -> None:
        if not quiet and progress.is_terminal:
            progress.print(f"checking {source}", markup=False)

    return tell


def _choice(sources: list[str], slices: list[str], every: bool, findings: str | None) -> Choice:
    if findings is not None:
        return choice_of(_read(findings))
    if slices and len(sources) != 1:
        raise PintallyError("--slice needs exactly one --source", "Give --source 'topic[partition]' once.")
    if slices:
        named = frozenset((sources[0], _name(text)) for text in slices)
        return Choice(slices=named, only_named=True)
    return Choice(every=every, sources=frozenset(sources), only_named=bool(sources))


def _name(text: str) -> tuple[int, int]:
    """Returns slice_block and arrived_at of a slice, from text as `verify` prints it."""
    try:
        slice_block, arrived_at = text.split("/")
        return int(slice_block), int(arrived_at)
    except ValueError:
        raise PintallyError(
            f"--slice {text}: not the name of a slice", "Give slice_block/arrived_at, as `verify` prints it."
        ) from None


def _read(file: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        document = json_text.loads(text)
        if not all({"shown", "findings"} <= each.keys() for each in document.get("shards", [document])):
            raise ValueError("it has no field `findings`")
    except (OSError, ValueError, AttributeError) as error:
        raise PintallyError(
            f"--findings {file}: not the output of `pintally verify --json` ({error})", "Give its output unchanged."
        ) from error
    return dict(document)


def choice_of(document: dict[str, Any]) -> Choice:
    """Returns the slices that `verify` found, on any shard. If it printed only some findings of a kind: the whole
    sources."""
    each = [_choice_of(found) for found in document.get("shards", [document])]
    sources = frozenset(name for choice in each for name in choice.sources)
    slices = frozenset(pair for choice in each for pair in choice.slices if pair[0] not in sources)
    return Choice(sources=sources, slices=slices)


def _choice_of(document: dict[str, Any]) -> Choice:
    shown = document["shown"]
    of_kind = {kind: [finding for finding in shown if finding["kind"] == kind] for kind in document["findings"]}
    cut_off = {kind for kind, count in document["findings"].items() if count > len(of_kind[kind])}
    in_slices = [finding for finding in shown if "[" in finding["source"]]
    sources = {finding["source"] for finding in in_slices if finding["kind"] in cut_off or "slice" not in finding}
    slices = {(f["source"], _name(f["slice"])) for f in in_slices if "slice" in f and f["source"] not in sources}
    return Choice(sources=frozenset(sources), slices=frozenset(slices))


def _print(done: Repair) -> None:
    for each in done.repaired:
        parts = [
            f"{each.cells:,} cells" if each.cells else "",
            f"{each.letters:,} dead letters" if each.letters else "",
        ]
        parts.append("its ledger row" if each.ledger else "")
        words = ", ".join(part for part in parts if part)
        data.print(f"repaired {each.source} offsets {each.start:,} to {each.end:,}: {words}", markup=False)
    for orphan in done.removed:
        data.print(f"deleted, the log has no such slice: {orphan}", markup=False)
    for window in done.opened:
        data.print(f"did not add up, and is mended by the next sealing: {window}", markup=False)
    for source in done.before_cut:
        data.print(f"has not reached the newest cut: {source}", markup=False)
    if done.before_cut:
        data.print("  What it counts until then opens the windows that it changes; they are marked as corrected.")
    for place in done.waiting:
        data.print(f"not repaired yet: {place}", markup=False)
    for place in done.gone:
        data.print(f"cannot be recomputed, the log no longer holds it: {place}", markup=False)
    if done.gone:
        data.print("  Restore ClickHouse or the log, or accept the loss: `pintally accept-loss`.")
    if done.waiting:
        data.print("  Run `pintally repair` again when the workers have caught up (`pintally status`).")
    data.print(f"{done.folded:,} slices recounted, {len(done.repaired):,} of them repaired")
