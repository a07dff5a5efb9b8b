"""Every metric: its name, type, labels, and what it says. docs/metrics.md is made from this; who exposes one reads it.

A name ends with its unit (seconds, bytes) or with `_total`, as Prometheus asks. Labels are bounded: topics, partitions
and closed lists, never a pin, a user, an event id, a reason's text or a host (Prometheus adds `instance`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What Prometheus calls the type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A counter's name ends with `_total`; `buckets` are the upper bounds of a histogram, in seconds."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

TOPIC: Final = ("topic",)
SOURCE: Final = ("topic", "partition")
FRESH: Final = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
STEPS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# What only a worker knows: `/metrics` of `pintally worker`.
WORKER: Final = (
    Metric("pintally_worker_build_info", GAUGE,
           "1; the labels say what runs. `member` is its name in the group, if it has one.",
           ("version", "python", "faust", "aiokafka", "clickhouse_driver", "member")),
    Metric("pintally_worker_start_time_seconds", GAUGE,
           "When it began to run. Unlike process_start_time_seconds it changes also if a worker restarts itself."),
    Metric("pintally_worker_process_id", GAUGE, "The number of its process on its machine, or in its container."),
    Metric("pintally_worker_rules_info", GAUGE, "1; the rules by which this worker counts an assigned topic.",
           ("topic", "epoch", "fingerprint")),
    Metric("pintally_worker_records_total", COUNTER,
           "Offsets by outcome (counted, duplicate, late, invalid, gaps), those that were folded again included.",
           ("topic", "outcome")),
    Metric("pintally_worker_refused_chunks_total", COUNTER, "Chunks out of place; each is fetched again.",
           ("trouble",)),  # repeated, missing
    Metric("pintally_worker_source_offset", GAUGE,
           "Offsets of an assigned source: folded, flushed, and the end of what may be read.",
           (*SOURCE, "position")),
    Metric("pintally_worker_source_lag_seconds", GAUGE,
           "Age of the oldest record of an assigned source that is not flushed; 0 if all that may be read is.", SOURCE),
    Metric("pintally_worker_freshness_seconds", HISTOGRAM,
           "Records by how long after the Kafka timestamp of the oldest record of their source in a flush the ledger "
           "answered.",
           TOPIC, FRESH),
    Metric("pintally_worker_flushes_total", COUNTER, "Flushes by outcome.", ("outcome",)),  # flushed, failed, empty
    Metric("pintally_worker_flush_seconds", HISTOGRAM, "Duration of flushes that had something to flush.", (), STEPS),
    Metric("pintally_worker_flush_step_seconds", HISTOGRAM,
           "Duration of one step of a flush: dead_letter_topics, connect, read_back, cells, dead_letters, ledger.",
           ("step",), STEPS),
    Metric("pintally_worker_clickhouse_errors_total", COUNTER, "Errors of ClickHouse by kind.", ("kind",)),
    Metric("pintally_worker_flushed_cells_total", COUNTER, "Rows of cells that were inserted."),
    Metric("pintally_worker_last_flush_timestamp_seconds", GAUGE,
           "When a flush, or a look at the ledger with nothing to flush, last succeeded."),
    Metric("pintally_worker_pending_cells", GAUGE, "Cells and dead letters in memory that are not flushed."),
    Metric("pintally_worker_pending_cells_limit", GAUGE, "Reading pauses at this number of pending cells."),
    Metric("pintally_worker_state_bytes", GAUGE, "Memory of cells and event ids."),
    Metric("pintally_worker_partitions", GAUGE, "Partitions: assigned, and paused among them.", ("state",)),
    Metric("pintally_worker_pauses_total", COUNTER, "Pauses of reading because too many cells were pending."),
    Metric("pintally_worker_assignments_total", COUNTER, "Times that the group gave out partitions."),
    Metric("pintally_worker_assigned_sources_total", COUNTER,
           "Sources that were assigned: their state was kept, or restored from the log.", ("state",)),
    Metric("pintally_worker_restored_records_total", COUNTER,
           "Offsets below the flushed position that had to be folded again at an assignment.", TOPIC),
    Metric("pintally_worker_restore_seconds", GAUGE,
           "Time from the last assignment until every source had passed its flushed position; NaN while under way."),
    Metric("pintally_worker_dead_letters_total", COUNTER, "Late and invalid records by the field that is at fault.",
           ("topic", "field")),
    Metric("pintally_worker_dead_letters_refused_seconds", GAUGE,
           "How long a dead-letter topic has not taken letters, and the error of Kafka; 0 and no error if it does.",
           ("topic", "error")),
    Metric("pintally_worker_heartbeat_age_seconds", GAUGE, "Time since the group coordinator last answered."),
    Metric("pintally_worker_loop_delay_seconds", GAUGE, "How late the last flush began: a busy event loop."),
    Metric("pintally_worker_engine_away_seconds", GAUGE, "How long an engine has not answered; 0 if it does.",
           ("engine",)),  # kafka, clickhouse
    Metric("pintally_worker_sealed_total", COUNTER, "Hours and cuts that were sealed.", ("what",)),  # hours, cuts
    Metric("pintally_worker_corrected_total", COUNTER,
           "Hours and features that were sealed again with other counts than before.", ("what",)),  # hours, features
)  # fmt: skip

# What `pintally verify --metrics FILE` writes, and `pintally serve` shows: of the last run of each scope.
VERIFIED: Final = (
    Metric("pintally_verified_timestamp_seconds", GAUGE, "When `pintally verify --metrics` last ended with an answer.",
           ("scope",)),  # whole, sample
    Metric("pintally_verified_records", GAUGE, "Records that it recounted.", ("scope",)),
    Metric("pintally_verified_share", GAUGE, "Share of the slices that it recounted; 1: all.", ("scope",)),
    Metric("pintally_differences", GAUGE, "Differences that it found; 0: exact.", ("scope",)),
)  # fmt: skip

# The truth of the ledger, of Kafka and of sealing, of all sources, also when no worker runs: `pintally serve`.
SERVE: Final = (
    Metric("pintally_source_offset", GAUGE,
           "Offsets of a source: start and end of its log, the last stable offset, and the flushed position.",
           (*SOURCE, "position")),  # log_start, flushed, last_stable, log_end
    Metric("pintally_source_lag_records", GAUGE, "Offsets in the log that are not in ClickHouse.", SOURCE),
    Metric("pintally_source_lag_seconds", GAUGE,
           "Age of the flushed stream time, at most the time since all was counted; 0 if the lag is 0. "
           "If nothing was ever counted: age of the oldest record.", SOURCE),
    Metric("pintally_source_stream_time_seconds", GAUGE, "Flushed stream time, as Unix time.", SOURCE),
    Metric("pintally_source_retention_headroom_seconds", GAUGE,
           "Time until retention deletes a record that is not counted; +Inf if nothing is, or nothing is deleted.",
           SOURCE),
    Metric("pintally_source_blocked", GAUGE, "1 if an open transaction blocks the source, else 0.", SOURCE),
    Metric("pintally_records_total", COUNTER,
           "Offsets by outcome, as the ledger has them. Falls only when a loss is accepted.", ("topic", "outcome")),
    Metric("pintally_group_members", GAUGE, "Members of the consumer group."),
    Metric("pintally_group_partitions", GAUGE, "Partitions by whether a member has them (assigned, unassigned).",
           ("state",)),
    Metric("pintally_dead_letters", GAUGE, "Late and invalid records in the table dead_letters, by field at fault.",
           ("topic", "outcome", "field")),
    Metric("pintally_lost_records_total", COUNTER, "Offsets whose loss was accepted.", TOPIC),
    Metric("pintally_sealed_until_timestamp_seconds", GAUGE, "Hours before it are sealed; 0 if none is."),
    Metric("pintally_allowed_lateness_seconds", GAUGE, "Setting: how long after its end a minute still counts."),
    Metric("pintally_open_windows", GAUGE, "Hours that were sealed and are opened again."),
    Metric("pintally_newest_cut_timestamp_seconds", GAUGE, "The newest published cut; 0 if there is none."),
    Metric("pintally_source_holds_sealing", GAUGE, "1 for the sources that hold sealing back most, else 0.", SOURCE),
    Metric("pintally_superseded_rows", GAUGE, "Rows of an older epoch that must not count and are not deleted yet.",
           ("table",)),
    Metric("pintally_rules_info", GAUGE, "1; the rules in force for a topic; not `known`: a newer version wrote them.",
           ("topic", "epoch", "fingerprint", "known")),
    Metric("pintally_clickhouse_parts", GAUGE, "Active parts of a table.", ("table",)),
    Metric("pintally_clickhouse_rows", GAUGE, "Rows of a table.", ("table",)),
    Metric("pintally_clickhouse_bytes", GAUGE, "Bytes of a table on disk.", ("table",)),
    Metric("pintally_look_timestamp_seconds", GAUGE, "When a look last succeeded.", ("at",)),  # ledger, tables
    Metric("pintally_look_seconds", GAUGE, "Duration of the last look.", ("at",)),
    Metric("pintally_engine_away_seconds", GAUGE, "How long an engine has not answered `pintally serve`; 0 if it does.",
           ("engine",)),  # kafka, clickhouse
    Metric("pintally_look_errors_total", COUNTER, "Looks that failed, by the engine that did not answer.", ("engine",)),
    *VERIFIED,
    Metric("pintally_http_requests_total", COUNTER, "Answers of `pintally serve`.", ("route", "status")),
)  # fmt: skip

METRICS: Final = {metric.name: metric for metric in (*WORKER, *SERVE)}
