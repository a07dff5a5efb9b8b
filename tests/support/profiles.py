"""Settings profiles that ClickHouse users may have. Each could shorten an answer, or change what SQL means."""

from collections.abc import Iterator

from tests.support.own_clickhouse import Profile

MODES: dict[str, tuple[str, dict[str, float]]] = {
    "read_overflow_mode": ("break", {"max_rows_to_read": 5}),
    "read_overflow_mode_leaf": ("break", {"max_bytes_to_read_leaf": 5}),
    "group_by_overflow_mode": ("any", {"max_rows_to_group_by": 2}),
    "sort_overflow_mode": ("break", {"max_rows_to_sort": 2}),
    "result_overflow_mode": ("break", {"max_result_rows": 2}),
    "distinct_overflow_mode": ("break", {"max_rows_in_distinct": 1}),
    "set_overflow_mode": ("break", {"max_rows_in_set": 1}),
    "join_overflow_mode": ("break", {"max_rows_in_join": 1}),
    "transfer_overflow_mode": ("break", {"max_rows_to_transfer": 1}),
    "timeout_overflow_mode": ("break", {"max_execution_time": 0.001}),
    "timeout_overflow_mode_leaf": ("break", {"max_execution_time_leaf": 0.001}),
}
ONE_SETTING: dict[str, object] = {
    "aggregate_functions_null_for_empty": 1,
    "empty_result_for_aggregation_by_empty_set": 1,
    "group_by_use_nulls": 1,
    "join_use_nulls": 1,
    "transform_null_in": 1,
    "cast_keep_nullable": 1,
    "data_type_default_nullable": 1,
    "prefer_column_name_to_alias": 1,
    "enable_positional_arguments": 0,
    "enable_global_with_statement": 0,
    "apply_deleted_mask": 0,
    "final": 1,
    "discard_query_data": 0,
    "use_query_cache": 1,
    "count_distinct_implementation": "uniq",
    "short_circuit_function_evaluation": "disable",
    "union_default_mode": "DISTINCT",
    "join_default_strictness": "ANY",
    "session_timezone": "Asia/Kathmandu",
    "date_time_overflow_behavior": "saturate",
    "input_format_tsv_enum_as_number": 1,
    "optimize_move_to_prewhere": 0,
    "optimize_move_to_prewhere_if_final": 1,
    "optimize_trivial_approximate_count_query": 1,
    "optimize_on_insert": 0,
    "do_not_merge_across_partitions_select_final": 1,
    "inject_random_order_for_select_without_order_by": 1,
    "additional_result_filter": "0",
    "additional_table_filters": "{'pin_minutes': 'events > 1000', 'sealed': '0', 'pin_hours': '0'}",
    "allow_experimental_analyzer": 0,
    "force_primary_key": 1,
    "max_block_size": 1,
    "insert_deduplicate": 1,
    "throw_on_max_partitions_per_insert_block": 0,
    "async_insert": 1,
    "wait_for_async_insert": 0,
    "output_format_json_quote_64bit_integers": 1,
    "output_format_json_array_of_rows": 1,
}
COMPATIBILITY = ("20.3", "21.8", "23.8", "24.8", "25.8")
# These are about the whole query of a reader, and no view can know of them: see docs/tables.md.
OF_THE_READER = {"limit": 1, "offset": 1, "extremes": 1}


def _profiles() -> Iterator[tuple[str, Profile]]:
    for name, (mode, limits) in MODES.items():
        yield name, Profile({name: mode, "max_block_size": 2, **limits})
        yield (
            f"{name}_fixed",
            Profile({name: mode, "max_block_size": 2, **limits}, dict.fromkeys((name, *limits), "<const/>")),
        )
    for name, value in ONE_SETTING.items():
        yield name, Profile({name: value})
    for version in COMPATIBILITY:
        yield f"compatibility_{version.replace('.', '_')}", Profile({"compatibility": version})
    for name, value in OF_THE_READER.items():
        yield name, Profile({name: value})
    yield (
        "old_analyzer_and_nulls",
        Profile({"allow_experimental_analyzer": 0, "aggregate_functions_null_for_empty": 1, "join_use_nulls": 1}),
    )
    yield "as_reported", Profile({"timeout_overflow_mode": "break", "max_execution_time": 0.02, "max_block_size": 500})
    yield (
        "nulls_fixed",
        Profile({"aggregate_functions_null_for_empty": 1}, {"aggregate_functions_null_for_empty": "<const/>"}),
    )
    yield (
        "small_limits_fixed",
        Profile({"max_rows_to_read": 10**9}, {"max_rows_to_read": "<min>1</min><max>1000000000</max>"}),
    )
    yield "readonly_1", Profile({"readonly": 1})
    yield "readonly_2", Profile({"readonly": 2})
    yield "readonly_1_and_nulls", Profile({"readonly": 1, "aggregate_functions_null_for_empty": 1})
    yield (
        "readonly_1_and_break",
        Profile({"readonly": 1, "timeout_overflow_mode": "break", "max_execution_time": 0.001}),
    )
    yield "readonly_1_and_limits", Profile({"readonly": 1, "max_rows_to_read": 10**9, "max_execution_time": 600})
    yield "only_some_cells", Profile(only_rows={"pin_minutes": "pin_id != 7"})
    yield "only_some_ledger", Profile(only_rows={"ingest_ledger": "slice_block > 0"})


PROFILES = dict(_profiles())
