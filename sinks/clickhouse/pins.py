"""The settings of ClickHouse that every connection of ours sets, whatever the user's profile says.

docs/clickhouse-settings.toml says of each setting of ClickHouse why it is here or not; a test compares the two. Values
are ClickHouse's defaults wherever those are exact, so that a user who may not change settings (`readonly = 1`) is
refused only where his profile differs: who sets a setting to what it is already changes nothing, says ClickHouse.
"""

OVERFLOW_MODES = (
    "read_overflow_mode", "read_overflow_mode_leaf", "group_by_overflow_mode", "sort_overflow_mode",
    "result_overflow_mode", "distinct_overflow_mode", "set_overflow_mode", "join_overflow_mode",
    "transfer_overflow_mode", "timeout_overflow_mode", "timeout_overflow_mode_leaf",
)  # fmt: skip

# What could shorten an answer without an error, or changes what our SQL means.
READS: dict[str, str] = {
    **dict.fromkeys(OVERFLOW_MODES, "throw"),
    "limit": "0",
    "offset": "0",
    "extremes": "0",
    "additional_table_filters": "{}",
    "additional_result_filter": "",
    "apply_deleted_mask": "1",
    "apply_patch_parts": "1",
    "apply_mutations_on_fly": "0",
    "ignore_cold_parts_seconds": "0",
    "partial_result_on_first_cancel": "0",
    "discard_query_data": "0",
    "final": "0",
    "use_query_cache": "0",
    "query_cache_for_subqueries": "0",
    "skip_unavailable_shards": "0",
    "allow_experimental_parallel_reading_from_replicas": "0",
    "automatic_parallel_replicas_mode": "0",
    "parallel_replica_offset": "0",
    "use_skip_indexes_if_final_exact_mode": "1",
    "optimize_trivial_approximate_count_query": "0",
    "dialect": "clickhouse",
    "allow_experimental_analyzer": "1",
    "aggregate_functions_null_for_empty": "0",
    "empty_result_for_aggregation_by_empty_set": "0",
    "empty_result_for_aggregation_by_constant_keys_on_empty_set": "1",
    "group_by_use_nulls": "0",
    "join_use_nulls": "0",
    "join_default_strictness": "ALL",
    "any_join_distinct_right_table_keys": "0",
    "join_any_take_last_row": "0",
    "transform_null_in": "0",
    "union_default_mode": "",
    "cast_keep_nullable": "0",
    "data_type_default_nullable": "0",
    "prefer_column_name_to_alias": "0",
    "enable_positional_arguments": "1",
    "enable_global_with_statement": "1",
    "enable_scopes_for_with_statement": "1",
    "count_distinct_implementation": "uniqExact",
    "short_circuit_function_evaluation": "enable",
    "enable_unaligned_array_join": "0",
    "function_implementation": "",
    "session_timezone": "",
    "date_time_overflow_behavior": "ignore",
    "enable_extended_results_for_datetime_functions": "0",
    "input_format_tsv_enum_as_number": "0",
    "bool_true_representation": "true",
    "bool_false_representation": "false",
    "interval_output_format": "numeric",
    "inject_random_order_for_select_without_order_by": "0",
    "implicit_transaction": "0",
}

# What decides whether an insert or a delete does what it says before it returns.
WRITES: dict[str, str] = {
    "async_insert": "0",
    "wait_for_async_insert": "1",
    # A block that was dropped as a repetition would be a lost count. The last two override the first since 26.
    "insert_deduplicate": "0",
    "deduplicate_insert": "disable",
    "deduplicate_insert_select": "disable",
    "insert_deduplication_token": "",
    "insert_null_as_default": "1",
    "insert_quorum": "0",
    "min_insert_block_size_rows": str(1 << 20),  # the server joins the driver's blocks to one part a partition
    "min_insert_block_size_bytes": str(1 << 30),
    "max_partitions_per_insert_block": "200",  # retention is 90 days, a partition a day
    "throw_on_max_partitions_per_insert_block": "1",
    "distributed_foreground_insert": "1",
    "alter_sync": "1",
    "mutations_sync": "1",
    "lightweight_deletes_sync": "2",
    "lightweight_delete_mode": "alter_update",
    "materialized_views_ignore_errors": "0",
    "default_normal_view_sql_security": "INVOKER",
    "send_profile_events": "1",  # clickhouse-driver waits for them after each insert
}

# With `throw` above these end in an error and never in a shorter answer. They are lifted where the profile allows it.
LIMITS: dict[str, str] = {
    **dict.fromkeys(
        (
            "max_rows_to_read", "max_bytes_to_read", "max_rows_to_read_leaf", "max_bytes_to_read_leaf",
            "max_rows_to_group_by", "max_rows_to_sort", "max_bytes_to_sort", "max_result_rows", "max_result_bytes",
            "max_rows_in_distinct", "max_bytes_in_distinct", "max_rows_in_set", "max_bytes_in_set",
            "max_rows_in_join", "max_bytes_in_join", "max_rows_to_transfer", "max_bytes_to_transfer",
            "max_execution_time", "max_execution_time_leaf", "max_estimated_execution_time",
            "min_execution_speed", "min_execution_speed_bytes", "max_execution_speed", "max_execution_speed_bytes",
            "max_columns_to_read", "max_temporary_columns", "max_temporary_non_const_columns",
            "force_primary_key", "force_index_by_date", "force_optimize_projection",
        ),
        "0",
    ),
    "max_partitions_to_read": "-1",
    "force_optimize_projection_name": "",
    "force_data_skipping_indices": "",
    "enable_lightweight_delete": "1",
}  # fmt: skip

# On ClickHouse Cloud every insert is a quorum insert, and a session's reads wait for what others wrote.
CLOUD: dict[str, str] = {"select_sequential_consistency": "1"}


def of_quorum(replicas: int) -> dict[str, str]:
    """What makes an insert wait until so many replicas have its rows. It ends below the 30 s that a worker waits."""
    return {"insert_quorum": str(replicas), "insert_quorum_parallel": "1", "insert_quorum_timeout": "20000"}
