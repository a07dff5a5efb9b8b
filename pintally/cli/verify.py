"""`pintally verify`: independent recount of the log, compared with ClickHouse."""

from collections.abc import Iterator
from pathlib import Path
from secrets import randbelow
from time import monotonic
from typing import Annotated, Any

import typer

from pintally.audit.addresses import Addresses
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTell
from pintally.audit.kept import read_kept
from pintally.audit.sampling import CONFIDENCE, Sample, Sampling
from pintally.audit.verify import Report
from pintally.audit.verify import verify as audit
from pintally.cli.console import data, print_json, progress_bar, table
from pintally.cli.verify_metrics import check_place, refuse_some, worst, write_metrics
from pintally.schemas.outcomes import OUTCOMES
from pintally.streams.audit_addresses import addresses_of, as_ours
from pintally.streams.kafka.admin import open_admin
from pintally.streams.settings import load_settings

SEEDS = 1_000_000


def verify(
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this source, `topic` or `topic[partition]`; may be repeated. Skips sealed windows and features."
        ),
    ] = None,
    since_hours: Annotated[
        float | None,
        typer.Option(min=0, help="Only slices that arrived in the last hours, and windows that began in them."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Number of sources to recount in parallel; the number of cores if left out."),
    ] = None,
    sample: Annotated[
        float | None,
        typer.Option(
            min=0.0001, max=0.9999, metavar="SHARE", help="Recount only this share of the slices, drawn at random."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="With --sample: draw as the run did that printed this seed.")
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the result into this file, as Prometheus reads it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recount the log independently and compare every count.

    The command reads the log with another client and another parser than the workers, and counts again by the rules in
    the ledger. It compares each cell, ledger row, dead letter, sealed hour and sealed day in both directions: nothing
    may be missing in ClickHouse, and nothing may be there that is not in the log. In the same way it compares the
    tables of features with the cells that are known at the newest cut, and each cut with what the sources have
    reached. It changes nothing, and may run while workers run. Records that workers have not flushed yet are lag, not a
    difference. Accepted losses (`pintally accept-loss`) are reported as lost, not as a difference. Counts of a topic
    that was given up or replaced cannot be checked; the command lists the hours in which its log and the next one may
    both count an event.

    Exit codes: 0 exact; 1 different, each difference is printed; 2 cannot tell for a part or for all: nothing is
    counted yet, the topic is not the counted one, the topic was given up or replaced, or Kafka no longer keeps the
    records of a slice; 75 cannot tell now: Kafka or ClickHouse does not answer. If one part differs and another cannot
    be checked, the exit code is 1.

    Where several servers share the pins, the log is recounted for each: it must have the counts of its own pins, and no
    others. The sums over all of them must be those of the ledger.

    With --sample the command recounts slices that are drawn at random, and says how many slices may still be wrong. All
    that needs no recount is checked whole: the ledger, sealed hours and days, features and cuts. --metrics replaces the
    file in one step, unless the exit code is 2 or 75. It tells of all sources, so it does not go with --source.

    Examples:

        pintally verify --since-hours 24

        pintally verify --sample 0.05 --metrics /var/lib/prometheus/node-exporter/pintally_sample.prom
    """
    if metrics is not None:
        refuse_some(source)
        check_place(metrics)
    settings = load_settings(over_shards=True)
    with open_admin(settings.kafka):
        pass  # it reports a wrong address or login; the audit's client only sees a closed connection
    try:
        servers, sampling = addresses_of(settings).of_shards(), _sampling(sample, seed)
        reports = [_audit(each, source or [], since_hours, processes, sampling, quiet=json) for each in servers]
    except CannotTell as reason:
        raise as_ours(reason, settings.kafka) from reason
    if metrics is not None:
        write_metrics(reports, metrics)
    code = worst(reports)
    if json:
        each = [_as_json(report) for report in reports]
        print_json(each[0] if len(each) == 1 else {"exact": code == 0, "exit_code": code, "shards": each})
    else:
        for server, report in zip(servers, reports, strict=True):
            if len(servers) > 1:
                data.print(f"shard {server.number}: {server.clickhouse_host}:{server.clickhouse_http_port}")
            _print(report)
    raise typer.Exit(code)


def _sampling(share: float | None, seed: int | None) -> Sampling | None:
    if share is None and seed is not None:
        raise typer.BadParameter("--seed needs --sample", param_hint="--seed")
    return None if share is None else Sampling(share, randbelow(SEEDS) if seed is None else seed)


def _audit(
    addresses: Addresses,
    only: list[str],
    since_hours: float | None,
    processes: int | None,
    sampling: Sampling | None,
    *,
    quiet: bool,
) -> Report:
    since = 0
    if since_hours is not None:
        with ClickHouse(addresses) as clickhouse:
            since = int(max(0, read_kept(clickhouse).now - since_hours * 3600))
    with progress_bar("recounting", quiet=quiet) as bar:
        task = bar.add_task("recounting", total=None)
        began = monotonic()

        def show(done: int, of: int) -> None:
            if monotonic() - began > 1:
                bar.update(task, completed=done, total=max(done, of))

        return audit(addresses, only, since, processes, show, sampling=sampling)


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "exact": report.exit_code == 0,
        "exit_code": report.exit_code,
        "records": report.records,
        "seconds": round(report.seconds, 2),
        "sources": [
            {
                "source": source.source,
                "slices": source.slices,
                **source.outcomes,
                "cells": source.cells,
                "checked_from": source.checked_from,
                "position": source.position,
                "log_end": source.log_end,
                "lag": source.lag,
            }
            for source in report.sources
        ],
        "not_started": [{"source": name, "offsets": offsets} for name, offsets in report.not_started],
        "sealed_windows": report.windows,
        "findings": {kind.value: count for kind, count in report.findings.counts.items()},
        "shown": [finding.to_dict() for finding in report.findings.shown],
        "unverifiable": report.unverifiable,
        "lost": report.lost,
        "replaced": report.replaced,
        "waiting": report.waiting,
    } | ({} if report.sample is None else {"sample": _sample_as_json(report.sample)})


def _sample_as_json(sample: Sample) -> dict[str, Any]:
    return {
        "share": sample.share,
        "seed": sample.seed,
        "drawn": sample.drawn,
        "slices": sample.slices,
        "confidence": CONFIDENCE,
        "fewer_wrong_than": sample.fewer_than(),
        "runs_for_one": sample.runs(),
    }


def _print(report: Report) -> None:
    shown = table("recounted", "source", "slices", *OUTCOMES, "cells", "position", "lag")
    for source in report.sources:
        outcomes = (f"{source.outcomes[outcome]:,}" for outcome in OUTCOMES)
        lag = "?" if source.lag is None else f"{source.lag:,}"
        shown.add_row(source.source, f"{source.slices:,}", *outcomes, f"{source.cells:,}", f"{source.position:,}", lag)
    data.print(shown)
    for name, offsets in report.not_started:
        data.print(f"not started: {name} has {offsets:,} offsets, none of them is counted")
    for finding in report.findings.shown:
        data.print(str(finding), markup=False)
    for kind, count in sorted(report.findings.counts.items()):
        data.print(f"{kind}: {count:,}")
    for line in report.replaced:
        data.print(f"replaced: {line}", markup=False)
    for place in report.lost:
        data.print(f"lost: {place}", markup=False)
    for wait in report.waiting:
        data.print(f"waits: {wait}", markup=False, soft_wrap=True)
    for reason in report.unverifiable:
        data.print(f"cannot tell: {reason}", markup=False)
    if report.sample is not None:
        for line in _sample_in_words(report.sample, found=bool(report.findings)):
            data.print(f"sample: {line}", soft_wrap=True)
    data.print(_verdict(report))


def _sample_in_words(sample: Sample, *, found: bool) -> Iterator[str]:
    yield f"{sample.drawn:,} of {sample.slices:,} slices were recounted; --seed {sample.seed} draws them again"
    if sample.slices and not found:
        yield (
            f"with a confidence of {CONFIDENCE:.0%}, fewer than {sample.fewer_than():,} of the {sample.slices:,} slices"
            f" are wrong; a single slice that stays wrong is found within {sample.runs():,} runs"
        )


def _verdict(report: Report) -> str:
    cells = sum(source.cells for source in report.sources)
    checked = (
        f"{report.records:,} records, {cells:,} cells, {report.windows:,} sealed windows in {report.seconds:.1f} s"
    )
    words = {0: "[green]exact[/green]", 1: "[red]different[/red]", 2: "[yellow]cannot tell[/yellow]"}
    if report.sample is not None:
        words[0] = "[green]no difference in the sample[/green]"
    if report.lost:
        words[0] += ", except for accepted losses"
    words[75] = "[yellow]cannot tell now[/yellow]"
    return f"{words[report.exit_code]}: {checked}"
