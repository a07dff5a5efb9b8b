-- at.1: the cut; .3 to .9: the columns of cuts_read. `w` says of which windows a row is: 1 for 1h, 2 for 24h, 4 for 7d, 8
-- for 30d. The first SELECT of the union finds nothing: it makes ClickHouse read the seals before it takes the snapshots of
-- the tables that follow. A view with a parameter is looked at twice, and the first time no subquery is run: a snapshot
-- that is shared within the query would be of before it.
assumeNotNull((
    SELECT (groupArrayIf(rows_seal, kind = 'tiles'), groupArrayIf(rows_seal, kind = 'hours'), groupArrayIf(rows_seal, kind = 'base'))
    FROM feature_seals_read
    WHERE kind = 'tiles' AND window_start >= at.4 - INTERVAL 31 DAY AND window_start < at.1
        OR kind = 'hours' AND window_start >= at.6 AND window_start < at.3
        OR kind = 'base' AND window_start = at.4
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0,
        input_format_tsv_enum_as_number = 0
)) AS seals
SELECT
    pin_id,
    sumIf({column}, bitTest(w, 0)) AS {column}_1h,
    sumIf({column}, bitTest(w, 1)) AS {column}_24h,
    sumIf({column}, bitTest(w, 2)) AS {column}_7d,
    sumIf({column}, bitTest(w, 3)) AS {column}_30d,
    sumIf(trusted_{column}, bitTest(w, 0)) AS trusted_{column}_1h,
    sumIf(trusted_{column}, bitTest(w, 1)) AS trusted_{column}_24h,
    sumIf(trusted_{column}, bitTest(w, 2)) AS trusted_{column}_7d,
    sumIf(trusted_{column}, bitTest(w, 3)) AS trusted_{column}_30d,
    {column}_24h / nullIf(closeups_24h, 0) AS {label}_rate_24h,
    {column}_7d / nullIf(closeups_7d, 0) AS {label}_rate_7d,
    sum({column} * weight) / 1048576 AS {column}_decayed_6h,
    ((({total_1h}) AS events) - (({total_7d} - events) / ((at.8 - toUnixTimestamp(at.4)) / 3600 + 167) AS mean))
        / sqrt(mean + 1) AS trend_1h,
    at.1 AS as_of
FROM
(
    SELECT
        toUInt64(0) AS pin_id,
        toUInt64(0) AS {column},
        toUInt64(0) AS trusted_{column},
        toUInt8(0) AS w,
        toUInt64(0) AS weight
    FROM system.one
    WHERE dummy > 0 AND empty(seals.1)
    UNION ALL
    SELECT
        pin_id,
        {column},
        trusted_{column},
        toUInt8((window_start >= at.7) + 2 * (window_start >= at.5) + 12) AS w,
        if(bitTest(w, 1), toUInt64(round(1048576 * exp2((toInt64(toUnixTimestamp(window_start)) - at.8) / 21600))), 0) AS weight
    FROM pin_tiles
    WHERE window_start >= at.3 AND arrived_at < at.1 AND seal IN seals.1
    UNION ALL
    SELECT
        pin_id,
        {column},
        trusted_{column},
        toUInt8(2 * (window_start >= at.5) + 12 * (window_start >= at.4)) AS w,
        if(bitTest(w, 1), toUInt64(round(1048576 * exp2((toInt64(toUnixTimestamp(window_start)) - at.9) / 21600))), 0) AS weight
    FROM pin_hours_by_pin
    WHERE window_start >= at.6 AND window_start < at.3 AND seal IN seals.2
    UNION ALL
    SELECT
        pin_id,
        {column},
        trusted_{column},
        toUInt8(2 * (window_start >= at.5) + 4 * (window_start >= at.4 - INTERVAL 7 DAY) + 8) AS w,
        if(bitTest(w, 1), toUInt64(round(1048576 * exp2((toInt64(toUnixTimestamp(window_start)) - at.9) / 21600))), 0) AS weight
    FROM pin_corrections
    WHERE window_start >= at.4 - INTERVAL 30 DAY AND known_from <= at.1 AND seal IN seals.1
    UNION ALL
    SELECT
        pin_id,
        if(w = 4, {column}_7d, {column}_30d) AS {column},
        if(w = 4, trusted_{column}_7d, trusted_{column}_30d) AS trusted_{column},
        arrayJoin([4, 8]) AS w,
        toUInt64(0) AS weight
    FROM pin_base
    WHERE day = at.4 AND seal IN seals.3
)
GROUP BY pin_id
SETTINGS aggregate_functions_null_for_empty = 0, apply_deleted_mask = 1, enable_shared_storage_snapshot_in_query = 0
