"""The rows of the counting dashboard, and the PromQL of each panel. Metrics: schemas/metrics.py."""

from typing import Final

from deploy.grafana.panels import HALF, Panel, Query, Row, lines, number, stack, table

TOPIC: Final = '{topic=~"$topic"}'
NOT_COUNTED: Final = '{topic=~"$topic",outcome=~"late|invalid|duplicate"}'
WORKER: Final = '{job="pintally-worker"}'
RATE: Final = "[$__rate_interval]"
FRESH: Final = "pintally_worker_freshness_seconds"


def quantile(share: float, metric: str, by: str = "le", only: str = "") -> str:
    """A quantile of a histogram over the last minutes."""
    return f"histogram_quantile({share}, sum by ({by}) (rate({metric}_bucket{only}{RATE})))"


def fresh_share(window: str) -> str:
    """The share of records that were visible within 5 s: the indicator of the objective."""
    good = f'sum(rate({FRESH}_bucket{{le="5.0"}}{window}))'
    return f"{good} / sum(rate({FRESH}_count{window}))"


GLANCE: Final = Row("At a glance", (
    number("Lag", "The age of what is counted, of the source that is furthest behind. 0: all is counted.", "s",
           f"max(pintally_source_lag_seconds{TOPIC})", warn=60, bad=300),
    number("Not counted yet", "Offsets in the log that are not in ClickHouse.", "short",
           f"sum(pintally_source_lag_records{TOPIC})"),
    number("Partitions without a worker", "Nobody counts them.", "none",
           'sum(pintally_group_partitions{state="unassigned"})', bad=1),
    number("Sealed until", "Age of the end of the last sealed hour.", "s",
           "time() - (pintally_sealed_until_timestamp_seconds > 0)", warn=3 * 3600, bad=5 * 3600),
    number("Differences", "What the last `pintally verify` found. 0: exact.", "none",
           "max(pintally_differences)", bad=1),
    number("Verified", "Time since the last `pintally verify` ended; of the whole and the sample, the older one.", "s",
           "time() - min(max by (scope) (pintally_verified_timestamp_seconds))", warn=36 * 3600),
))  # fmt: skip

FRESHNESS: Final = Row("Freshness: from Kafka's timestamp of a flush's oldest record to the answer of the ledger", (
    lines("Freshness", "Half, and 99%, of the records are at least as fresh. The objective is 99% within 5 s.", "s",
          Query(quantile(0.5, FRESH, only=TOPIC), "50%"), Query(quantile(0.99, FRESH, only=TOPIC), "99%")),
    lines("Freshness by topic, 99%", "The same for each topic.", "s",
          Query(quantile(0.99, FRESH, "le, topic", TOPIC), "{{topic}}")),
    Panel("Error budget left", "Of the 1% of records that may be later than 5 s in 30 days: 100% is all of it, below 0 "
          "it is used up; and the part of records within 5 s in an hour.",
          (Query(f"1 - (1 - {fresh_share('[30d]')}) / 0.01", "budget left"),
           Query(fresh_share("[1h]"), "within 5 s")), unit="percentunit", least=None, most=1),
))  # fmt: skip

RECORDS: Final = Row("Records", (
    stack("Outcomes a second", "Offsets by outcome, as the ledger has them.", "ops",
          Query(f"sum by (outcome) (rate(pintally_records_total{TOPIC}{RATE}))", "{{outcome}}")),
    stack("Topics a second", "Offsets by topic, as the ledger has them.", "ops",
          Query(f"sum by (topic) (rate(pintally_records_total{TOPIC}{RATE}))", "{{topic}}")),
    lines("Not counted, of all", "Shares of late, invalid and duplicate records.", "percentunit",
          Query(f"sum by (outcome) (rate(pintally_records_total{NOT_COUNTED}{RATE}))"
                f" / on () group_left () sum(rate(pintally_records_total{TOPIC}{RATE}))", "{{outcome}}")),
    lines("Dead letters", "Late and invalid records in the table dead_letters, by the field at fault.", "short",
          Query(f"sum by (outcome, field) (pintally_dead_letters{TOPIC})", "{{outcome}}: {{field}}")),
    lines("Dead letters a second", "The same as workers find them, records that are folded again included.", "ops",
          Query(f"sum by (field) (rate(pintally_worker_dead_letters_total{TOPIC}{RATE}))", "{{field}}")),
    lines("Accepted losses", "Offsets whose loss was accepted, in all.", "short",
          Query(f"sum by (topic) (pintally_lost_records_total{TOPIC})", "{{topic}}")),
))  # fmt: skip

SOURCES: Final = Row("Sources", (
    lines("Lag", "Age of the flushed stream time, at most the time since all was counted; 0 if the lag is 0.", "s",
          Query(f"pintally_source_lag_seconds{TOPIC}", "{{topic}}[{{partition}}]")),
    lines("Lag in records", "Offsets in the log that are not in ClickHouse.", "short",
          Query(f"pintally_source_lag_records{TOPIC}", "{{topic}}[{{partition}}]")),
    lines("Progress", "Offsets a second: what producers add, and what is flushed.", "ops",
          Query('sum(deriv(pintally_source_offset{topic=~"$topic",position="log_end"}[5m]))', "produced"),
          Query('sum(deriv(pintally_source_offset{topic=~"$topic",position="flushed"}[5m]))', "flushed")),
    lines("Time until retention", "Until Kafka deletes a record that is not counted. Infinite: none is due.", "s",
          Query(f"min by (topic) (pintally_source_retention_headroom_seconds{TOPIC})", "{{topic}}")),
    lines("Blocked by an open transaction", "1 for each source that a producer's open transaction blocks.", "none",
          Query(f"sum by (topic) (pintally_source_blocked{TOPIC})", "{{topic}}")),
    lines("Group", "Members of the consumer group, and partitions with and without one.", "none",
          Query("max(pintally_group_members)", "members"),
          Query("sum by (state) (pintally_group_partitions)", "partitions {{state}}")),
))  # fmt: skip

FLUSHES: Final = Row("Flushes", (
    lines("Duration of a flush", "Of flushes that had something to flush.", "s",
          Query(quantile(0.5, "pintally_worker_flush_seconds"), "50%"),
          Query(quantile(0.99, "pintally_worker_flush_seconds"), "99%")),
    stack("Steps of a flush", "Mean duration of each step.", "s",
          Query(f"sum by (step) (rate(pintally_worker_flush_step_seconds_sum{RATE}))"
                f" / sum by (step) (rate(pintally_worker_flush_step_seconds_count{RATE}))", "{{step}}")),
    lines("Flushes a second", "By outcome. Failed ones are tried again, and lose nothing.", "ops",
          Query(f"sum by (outcome) (rate(pintally_worker_flushes_total{RATE}))", "{{outcome}}")),
    lines("Rows inserted a second", "Cells that were inserted.", "ops",
          Query(f"sum(rate(pintally_worker_flushed_cells_total{RATE}))", "cells")),
    lines("Errors of ClickHouse a second", "By kind, as workers met them.", "ops",
          Query(f"sum by (kind) (rate(pintally_worker_clickhouse_errors_total{RATE}))", "{{kind}}")),
    lines("Last flush", "Time since a flush, or a look with nothing to flush, last succeeded.", "s",
          Query("time() - pintally_worker_last_flush_timestamp_seconds", "{{instance}}")),
))  # fmt: skip

WORKERS: Final = Row("Workers", (
    lines("Pending cells, of the limit", "At 1 reading pauses, until a flush succeeds.", "percentunit",
          Query("pintally_worker_pending_cells / pintally_worker_pending_cells_limit", "{{instance}}"), most=1),
    lines("Partitions", "Assigned to each worker, and paused among them.", "none",
          Query("pintally_worker_partitions", "{{instance}} {{state}}")),
    lines("Pauses and assignments", "In the last 15 minutes.", "none",
          Query("sum(increase(pintally_worker_pauses_total[15m]))", "pauses"),
          Query("sum by (instance) (increase(pintally_worker_assignments_total[15m]))", "assignments {{instance}}")),
    lines("CPU", "Cores that each worker uses.", "short",
          Query(f"rate(process_cpu_seconds_total{WORKER}{RATE})", "{{instance}}")),
    lines("CPU of a record", "Of all workers, for each record.", "s",
          Query(f"sum(rate(process_cpu_seconds_total{WORKER}{RATE}))"
                f" / sum(rate(pintally_worker_records_total{RATE}))", "CPU")),
    lines("Memory", "Resident memory, and the state in it: cells and event ids.", "bytes",
          Query(f"process_resident_memory_bytes{WORKER}", "{{instance}} resident"),
          Query("pintally_worker_state_bytes", "{{instance}} state")),
    lines("Restoring", "Duration of the last restore. A gap: one is under way.", "s",
          Query("pintally_worker_restore_seconds", "{{instance}}")),
    lines("Sources given to workers", "In the last 15 minutes: their state was kept, or restored from the log; and the "
          "records that were folded again.", "none",
          Query("sum by (state) (increase(pintally_worker_assigned_sources_total[15m]))", "{{state}}"),
          Query(f"sum(increase(pintally_worker_restored_records_total{TOPIC}[15m]))", "records folded again")),
    lines("Kafka and the event loop", "Age of the coordinator's last answer; how late the last flush began.", "s",
          Query("pintally_worker_heartbeat_age_seconds", "{{instance}} heartbeat"),
          Query("pintally_worker_loop_delay_seconds", "{{instance}} loop")),
    lines("Engines away", "How long an engine has not answered a worker, or `pintally serve`.", "s",
          Query("pintally_worker_engine_away_seconds", "{{instance}} {{engine}}"),
          Query("pintally_engine_away_seconds", "serve {{engine}}")),
    lines("Dead-letter topics that refuse", "How long one has taken none. The partitions of these letters wait.", "s",
          Query("pintally_worker_dead_letters_refused_seconds", "{{instance}} {{topic}} {{error}}")),
    lines("Chunks out of place", "Each is fetched again.", "none",
          Query("sum by (trouble) (increase(pintally_worker_refused_chunks_total[15m]))", "{{trouble}}")),
    table("What runs", "Versions of each worker.", Query("pintally_worker_build_info"), width=8),
))  # fmt: skip

SEALING: Final = Row("Sealing and rules", (
    lines("Age of what is sealed and published", "Of the end of the last sealed hour, and of the newest cut.", "s",
          Query("time() - (pintally_sealed_until_timestamp_seconds > 0)", "sealed hours"),
          Query("time() - (pintally_newest_cut_timestamp_seconds > 0)", "newest cut"),
          Query("pintally_allowed_lateness_seconds", "allowed lateness")),
    lines("Stream time behind the clock", "By source. The one that is furthest behind holds sealing back.", "s",
          Query(f"time() - pintally_source_stream_time_seconds{TOPIC}", "{{topic}}[{{partition}}]")),
    lines("Holds sealing back", "1 for the sources that hold it back most.", "none",
          Query(f"pintally_source_holds_sealing{TOPIC}", "{{topic}}[{{partition}}]")),
    lines("Sealed and corrected", "In the last hour, by all workers.", "none",
          Query("sum by (what) (increase(pintally_worker_sealed_total[1h]))", "sealed {{what}}"),
          Query("sum by (what) (increase(pintally_worker_corrected_total[1h]))", "corrected {{what}}")),
    lines("Open hours and superseded rows", "Hours to be sealed again; rows of an older epoch to be deleted.", "none",
          Query("max(pintally_open_windows)", "open hours"),
          Query("sum by (table) (pintally_superseded_rows)", "superseded in {{table}}")),
    table("Rules in force", "One line for each topic; workers must agree. Not known: a newer version wrote them.",
          Query(f"max by (topic, epoch, fingerprint, known) (pintally_rules_info{TOPIC})"), width=8),
    table("Rules of workers", "The rules by which each worker counts.",
          Query(f"max by (topic, epoch, fingerprint, instance) (pintally_worker_rules_info{TOPIC})"), width=HALF),
))  # fmt: skip

SERVE: Final = Row("ClickHouse's tables and pintally serve", (
    lines("Rows", "Of each table.", "short", Query("pintally_clickhouse_rows", "{{table}}")),
    lines("Bytes on disk", "Of each table.", "bytes", Query("pintally_clickhouse_bytes", "{{table}}")),
    lines("Active parts", "Of each table. Above 1,000 merges are too slow.", "none",
          Query("pintally_clickhouse_parts", "{{table}}")),
    lines("Looks", "Duration of the last look, and its age.", "s",
          Query("pintally_look_seconds", "{{at}}: duration"),
          Query("time() - pintally_look_timestamp_seconds", "{{at}}: age")),
    lines("Looks that failed a second", "By the engine that did not answer.", "ops",
          Query(f"sum by (engine) (rate(pintally_look_errors_total{RATE}))", "{{engine}}")),
    lines("Answers a second", "Of pintally serve.", "ops",
          Query(f"sum by (route, status) (rate(pintally_http_requests_total{RATE}))", "{{route}} {{status}}")),
))  # fmt: skip

ROWS: Final = (GLANCE, FRESHNESS, RECORDS, SOURCES, FLUSHES, WORKERS, SEALING, SERVE)
