"""What is said to work on other versions of Kafka and ClickHouse, and the tests of the suite that show it."""

TOPICS, EXACT = "tests/kafka/test_topics.py", "tests/e2e/test_exact.py"

KAFKA_BY: dict[str, tuple[str, ...]] = {
    "migrate": (
        f"{TOPICS}::test_topics_are_described_as_they_were_asked_for",
        f"{TOPICS}::test_create_time_topics_refuse_timestamps_beyond_the_skew",
        f"{TOPICS}::test_a_topic_made_again_has_another_id",
        f"{TOPICS}::test_a_compacted_source_is_named",
    ),
    "worker, emulate, verify": (f"{EXACT}::test_cells_and_users_are_those_of_the_emulators_own_truth",),
    "kill -9 of workers, restart of Kafka": (
        f"{EXACT}::test_counts_are_exact_after_five_kills_at_different_moments",
        f"{EXACT}::test_counts_are_exact_after_a_restart_of_kafka",
    ),
    "transactions": ("tests/e2e/test_transactions.py",),
    "producers, codecs, message formats": (
        "tests/e2e/test_other_producers.py",
        "tests/compatibility/test_producers.py",
    ),
    "dlq replay": (
        "tests/e2e/test_dlq.py::test_invalid_and_late_letters_are_corrected_replayed_counted_and_never_again",
    ),
    "explain": (
        "tests/e2e/test_explain.py::test_each_outcome_is_explained_with_its_reason_its_cell_and_what_readers_see",
    ),
    "accept-loss, status, rules show": ("tests/e2e/test_refusals_resolved.py::test_retention_overtook_the_counting",),
    "rules apply": ("tests/operations/test_refusals_resolved.py::test_the_rules_were_changed[change0]",),
}
REFUSED_BY = ("tests/compatibility/refused.py",)

CLICKHOUSE_BY: dict[str, tuple[str, ...]] = {
    "migrate": ("tests/sinks/test_migrations.py",),
    "the contract of a sink": ("tests/sinks/test_sink.py", "tests/sinks/test_ledger.py"),
    "views, sealing, retention": (
        "tests/sinks/test_views.py",
        "tests/sinks/test_seal.py",
        "tests/operations/test_retention.py",
    ),
    "worker, emulate, verify": (f"{EXACT}::test_cells_and_users_are_those_of_the_emulators_own_truth",),
    "dlq replay": (
        "tests/e2e/test_dlq.py::test_invalid_and_late_letters_are_corrected_replayed_counted_and_never_again",
    ),
    "verify names what is wrong": ("tests/audit/test_verify.py",),
    "repair": (
        "tests/e2e/test_refusals_resolved.py::test_deleted_rows_are_found_by_verify_and_repaired_while_a_worker_runs",
    ),
}
