"""`pintally explain`: find an event, and show why it is counted or not."""

from dataclasses import asdict, replace
from typing import Annotated, Any

import typer

from pintally.audit.arm_members_shown import ArmMember
from pintally.audit.arms_shown import ArmCell
from pintally.audit.errors import CannotTell
from pintally.audit.explain import Cell, Explanation, RecordReport
from pintally.audit.explain import explain as look
from pintally.audit.flags_shown import Flag
from pintally.audit.members_shown import Member
from pintally.audit.shown import Window
from pintally.audit.words import moment
from pintally.cli.console import data, print_json, progress_bar
from pintally.cli.letters import Topic, printable, topics_of
from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.schemas.rules import HOUR_MS
from pintally.sinks.clickhouse.server import clock_of
from pintally.streams.audit_addresses import addresses_of, as_ours
from pintally.streams.operations.replay.origins import replayed_origins
from pintally.streams.settings import Settings, load_settings

TRUSTED = {
    None: "",
    True: "; trusted",
    False: "; not trusted: it comes after too many of its user, pin and action in its slice",
}
HEADINGS = {action.column: action.heading for action in Action}


def explain(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="The event's id, in upper or lower case.")],
    topic: Topic = None,
    since_hours: Annotated[
        float | None,
        typer.Option(min=0, help="Search only records of the last hours, by Kafka timestamp; all records if left out."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find an event, and show why it is counted or not.

    The command searches the logs for all records of the event, valid or not, and recounts the slice of each. It uses
    another client and another parser than the workers. It shows each record with its outcome and the reason, its cell,
    and what the views in ClickHouse show. It changes nothing, and may run while workers run. A late or invalid record
    has a dead letter, which `pintally dlq` can replay. Where several servers share the pins, the shard of the pin is
    asked, and the dead letters of shard 0.

    Exit codes: 0 found, 1 not found, 2 it could not search, 75 Kafka or ClickHouse does not answer.

    Example:

        pintally explain 7d0bd1a6-3f0e-4ab9-9bb3-0e6c4a7d2b11 --since-hours 24
    """
    settings = load_settings(over_shards=True)
    try:
        found = _look(settings, event_id.strip(), topic, since_hours, quiet=as_json)
    except CannotTell as reason:
        raise as_ours(reason, settings.kafka) from reason
    if as_json:
        print_json(_document(found))
    else:
        _print(found)
    raise typer.Exit(found.exit_code)


def _look(
    settings: Settings, event_id: str, topic: str | None, since_hours: float | None, *, quiet: bool
) -> Explanation:
    if not event_id:
        raise PintallyError("EVENT_ID is empty", "Give the event_id that the producer sent.")
    topics = topics_of(settings.topics, topic)
    replays = {
        (source.topic, source.topic_id, source.partition, offset): at
        for source, known in replayed_origins(settings).items()
        for offset, at in known.items()
    }
    since_ms = None if since_hours is None else int(max(0, clock_of(settings.clickhouse) - since_hours * HOUR_MS))
    with progress_bar("searching", quiet=quiet) as bar:
        task = bar.add_task("", total=None)
        return look(
            replace(
                addresses_of(settings), topics=tuple((name, int(settings.topics.actions[name])) for name in topics)
            ),
            event_id,
            since_ms,
            replays,
            lambda done, of: bar.update(task, completed=done, total=of),
        )


def _document(found: Explanation) -> dict[str, Any]:
    return {
        "event_id": found.event_id,
        "found": found.exit_code == 0,
        "records": [asdict(each) for each in found.records],
        "letters": [asdict(each) for each in found.letters],
        "behind_open_transactions": found.behind,
        "waiting": found.waiting,
        "searched": [{"source": name, "from": start, "to": end} for name, start, end in found.searched],
        "kept_from": [{"source": name, "offset": offset} for name, offset in found.forgotten],
    }


def _print(found: Explanation) -> None:
    for each in found.records:
        for line in _lines(each):
            data.print(printable(line), markup=False, soft_wrap=True)
        data.print()
    for letter in found.letters:
        line = f"{letter}: {letter.outcome}: {letter.reason}; in table dead_letters, not found in the log"
        data.print(printable(line), markup=False, soft_wrap=True)
    for place in found.behind:
        data.print(
            f"{printable(place)}: it is in an open transaction or behind one, and cannot be counted before that ends; "
            "if its own transaction is aborted, it is never counted",
            markup=False,
            soft_wrap=True,
        )
    if found.behind or (found.exit_code and found.waiting):
        for wait in found.waiting:
            data.print(f"waits: {wait}", markup=False, soft_wrap=True)
    if found.exit_code:
        data.print(f"not found: {printable(found.event_id)}. Searched:", markup=False)
        for name, start, end in found.searched:
            data.print(f"  {name} from offset {start:,} to {end:,}", markup=False)
        for name, offset in found.forgotten:
            data.print(f"  {name}: Kafka no longer keeps records before offset {offset:,}", markup=False)


def _lines(each: RecordReport) -> list[str]:
    """Returns the lines that show one record."""
    stamp = "no timestamp" if each.timestamp < 0 else moment(each.timestamp)
    lines = [f"{each.place}  {stamp}, key {each.key!r}" if each.key is not None else f"{each.place}  {stamp}, no key"]
    lines.append(f"  {each.outcome}: {each.why}" if each.outcome else f"  outcome unknown: {each.unknown}")
    if each.flushed is False and each.position is not None:
        offset = int(each.place.rpartition("@")[2])
        lines.append(
            f"  not flushed yet: its source is at offset {each.position:,}, {offset - each.position + 1:,} behind"
        )
    elif each.flushed:
        lines.append(f"  flushed: its source is at offset {each.position:,}")
    if each.letter is not None and each.outcome not in (each.letter.outcome, None):
        lines.append(f"  table dead_letters: {each.letter.outcome}: {each.letter.reason}")
    elif each.letter is not None:
        lines.append(f"  in table dead_letters: {each.letter.reason}")
    if each.replay_of is not None:
        lines.append(f"  it is the replay of {each.replay_of}")
    if each.replay is not None:
        lines.append(f"  it was replayed: {each.replay}")
    return lines + (_cell_lines(each.cell) if each.cell else [])


def _cell_lines(cell: Cell) -> list[str]:
    on = "" if cell.shard is None else f", shard {cell.shard}"
    lines = [f"  {cell.action} of pin {cell.pin} in the minute of {moment(cell.minute * 1000)}{on}"]
    if cell.slice_ is not None:
        stored = "no row" if cell.stored is None else f"{cell.stored.events:,} ({cell.stored.trusted:,} trusted)"
        lines += [
            f"  surface {cell.surface}, platform {cell.platform}{TRUSTED[cell.is_trusted]}",
            f"  cell in slice {cell.slice_}: {cell.recounted:,} ({cell.recounted_trusted:,} trusted) by recount below "
            f"offset {cell.below:,}, {stored} in pin_minutes",
        ]
    lines += _member_lines(cell.member) if cell.member else []
    lines += map(_arm_line, cell.arms)
    lines += map(_arm_member_line, cell.arm_members)
    return lines + [_window_line(window) for window in (*cell.windows, *cell.breakdowns)]


def _member_lines(member: Member) -> list[str]:
    stored = "no row" if member.stored is None else f"{member.stored.events:,} ({member.stored.trusted:,} trusted)"
    hour = moment(member.hour * 1000)
    return [
        f"  its user on surface {member.surface}, hour of {hour}: {member.recounted:,} "
        f"({member.recounted_trusted:,} trusted) by recount below offset {member.below:,}, {stored} in pin_members",
        f"  its user in the hour of {hour}: {_flag(member.flag)}",
    ]


def _flag(flag: Flag | None) -> str:
    if flag is None:
        return "not known to be flagged: users of the hour are not sealed yet, or flags are deleted with age"
    if flag.events is None or flag.pins is None:
        return f"not flagged, not more than {flag.above:,} events" if flag.above else "not flagged, as nobody is"
    return f"flagged, {flag.events:,} events on {flag.pins:,} pins, more than {flag.above:,}: see unflagged_ counts"


def _arm_line(arm: ArmCell) -> str:
    stored = "no row" if arm.stored is None else f"{arm.stored.events:,} ({arm.stored.trusted:,} trusted)"
    return (
        f"  arm {arm.arm} of experiment {arm.experiment}, bucket {arm.bucket}, hour of {moment(arm.hour * 1000)}: "
        f"{arm.recounted:,} ({arm.recounted_trusted:,} trusted) by recount below offset {arm.below:,}, "
        f"{stored} in experiment_cells"
    )


def _arm_member_line(member: ArmMember) -> str:
    stored = "no row" if member.stored is None else f"{member.stored.events:,}"
    return (
        f"  its user in arm {member.arm} of experiment {member.experiment}, hour of {moment(member.hour * 1000)}: "
        f"{member.recounted:,} by recount below offset {member.below:,}, {stored} in arm_members"
    )


def _window_line(window: Window) -> str:
    of = f" {window.dimension} {window.label}" if window.dimension else ""
    begins = f"  {window.view}{of} {moment(window.start * 1000)}:"
    if window.is_final is None:
        return f"{begins} no row"
    counts = [_count(HEADINGS[name], count, window.trusted[name]) for name, count in window.counts.items()]
    return f"{begins} {', '.join(counts)}, {'final' if window.is_final else 'not final'}"


def _count(heading: str, count: int, trusted: int) -> str:
    return f"{count:,} {heading}" + (f" ({trusted:,} trusted)" if trusted != count else "")
