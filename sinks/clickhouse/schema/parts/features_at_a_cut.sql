-- of.1 to of.3: seals of tiles, hours and base; of.4 the cut; .5 hours_until; .6 the day of it; .7 the cut less 24 h, down
-- to an hour; .8 the first hour that is read; .9 the cut less 1 h; .10 and .11 the cut, and the same down to an hour, in
-- seconds; .12 the seals of corrections. `w` says of which windows a row is: 1 for 1h, 2 for 24h, 4 for 7d, 8 for 30d.
assumeNotNull((
    SELECT
    (
        groupArrayIf(rows_seal, kind = 'tiles' AND window_start >= until - INTERVAL 1 DAY),
        groupArrayIf(rows_seal, kind = 'hours'),
        groupArrayIf(rows_seal, kind = 'base'),
        at.1 AS cut,
        at.3 AS until,
        toStartOfDay(until) AS today,
        toStartOfHour(cut) - INTERVAL 24 HOUR AS last_24h,
        least(today, last_24h) AS hours_from,
        cut - INTERVAL 1 HOUR,
        toInt64(toUnixTimestamp(cut)),
        toInt64(toUnixTimestamp(toStartOfHour(cut))),
        groupArrayIf(rows_seal, kind = 'tiles' AND window_start >= today - INTERVAL 30 DAY)
    )
    FROM feature_seals_read
    WHERE kind = 'tiles' AND window_start >= least(until - INTERVAL 1 DAY, today - INTERVAL 30 DAY) AND window_start < cut
        OR kind = 'hours' AND window_start >= hours_from AND window_start < until
        OR kind = 'base' AND window_start = today
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0
)) AS of
SELECT
    pin_id,
    sumIf({column}, bitTest(w, 0)) AS {column}_1h,
    sumIf({column}, bitTest(w, 1)) AS {column}_24h,
    sumIf({column}, bitTest(w, 2)) AS {column}_7d,
    sumIf({column}, bitTest(w, 3)) AS {column}_30d,
    {column}_24h / nullIf(closeups_24h, 0) AS {label}_rate_24h,
    {column}_7d / nullIf(closeups_7d, 0) AS {label}_rate_7d,
    sum({column} * weight) / 1048576 AS {column}_decayed_6h,
    ((({total_1h}) AS events) - (({total_7d} - events) / ((of.10 - toUnixTimestamp(of.6)) / 3600 + 167) AS mean))
        / sqrt(mean + 1) AS trend_1h,
    of.4 AS as_of
FROM
(
    SELECT
        pin_id,
        {column},
        toUInt8((window_start >= of.9) + 2 * (window_start >= of.7) + 12) AS w,
        if(bitTest(w, 1), toUInt64(round(1048576 * exp2((toInt64(toUnixTimestamp(window_start)) - of.10) / 21600))), 0) AS weight
    FROM tiles_read
    WHERE window_start >= of.5 AND arrived_at < of.4 AND seal IN of.1
    UNION ALL
    SELECT
        pin_id,
        {column},
        toUInt8(2 * (window_start >= of.7) + 12 * (window_start >= of.6)) AS w,
        if(bitTest(w, 1), toUInt64(round(1048576 * exp2((toInt64(toUnixTimestamp(window_start)) - of.11) / 21600))), 0) AS weight
    FROM complete_hours_read
    WHERE window_start >= of.8 AND window_start < of.5 AND seal IN of.2
    UNION ALL
    SELECT
        pin_id,
        {column},
        toUInt8(2 * (window_start >= of.7) + 4 * (window_start >= of.6 - INTERVAL 7 DAY) + 8) AS w,
        if(bitTest(w, 1), toUInt64(round(1048576 * exp2((toInt64(toUnixTimestamp(window_start)) - of.11) / 21600))), 0) AS weight
    FROM corrections_read
    WHERE window_start >= of.6 - INTERVAL 30 DAY AND known_from <= of.4 AND seal IN of.12
    UNION ALL
    SELECT
        pin_id,
        if(w = 4, {column}_7d, {column}_30d) AS {column},
        arrayJoin([4, 8]) AS w,
        toUInt64(0) AS weight
    FROM base_read
    WHERE day = of.6 AND seal IN of.3
)
GROUP BY pin_id
SETTINGS aggregate_functions_null_for_empty = 0
