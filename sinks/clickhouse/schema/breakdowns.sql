-- Counts by surface and by platform, never by both: the same cells as in the pin_engagement views, from roll-ups that
-- are sealed with the same numbers. Their open windows count each cell twice, once for each dimension. Hours of which no
-- cell names a label have no roll-up by label and are read from cells too; such days are read from pin_days.

CREATE OR REPLACE VIEW hour_breakdowns_read{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the hour',
    pin_id UInt64 COMMENT 'The pin',
    dimension Enum8('surface' = 1, 'platform' = 2) COMMENT 'Whether label is a surface or a platform',
    label LowCardinality(String) COMMENT 'The surface or platform',
    {column} UInt64 COMMENT '{Heading}',
    trusted_{column} UInt64 COMMENT 'Trusted {heading}',
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes',
    seal UInt64 COMMENT 'The sealing that wrote the row'
)
AS SELECT window_start, pin_id, dimension, label, {counts}, updated_at, seal
FROM pin_hour_breakdowns
WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL 89 DAY
SETTINGS apply_deleted_mask = 1
COMMENT 'Part of the pin_breakdown views: hourly roll-ups, of every seal';

CREATE OR REPLACE VIEW day_breakdowns_read{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the day, UTC',
    pin_id UInt64 COMMENT 'The pin',
    dimension Enum8('surface' = 1, 'platform' = 2) COMMENT 'Whether label is a surface or a platform',
    label LowCardinality(String) COMMENT 'The surface or platform',
    {column} UInt64 COMMENT '{Heading}',
    trusted_{column} UInt64 COMMENT 'Trusted {heading}',
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes',
    seal UInt64 COMMENT 'The sealing that wrote the row'
)
AS SELECT window_start, pin_id, dimension, label, {counts}, updated_at, seal
FROM pin_day_breakdowns
WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL 729 DAY
SETTINGS apply_deleted_mask = 1
COMMENT 'Part of the pin_breakdown views: daily roll-ups, of every seal';

CREATE OR REPLACE VIEW pin_breakdown_1h{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the hour, event time, UTC; the window is [start, start + 1 h)',
    pin_id UInt64 COMMENT 'The pin',
    dimension Enum8('surface' = 1, 'platform' = 2) COMMENT 'Whether label is a surface or a platform',
    label LowCardinality(String) COMMENT 'The surface or platform, as events say it; unknown: they do not; other: beyond the first 256 of a slice',
    {column} UInt64 COMMENT '{Heading} in the window',
    trusted_{column} UInt64 COMMENT 'Trusted {heading} in the window: of one user, at most as many in a slice as the rule trusted_cap says',
    updated_at DateTime('UTC') COMMENT 'When the counts were last written, UTC',
    is_final Bool COMMENT 'true: no further event will be counted in this window (corrections aside)'
)
AS
{sealed_hours}
SELECT window_start, pin_id, dimension, label, {counts}, updated_at, true AS is_final
FROM hour_breakdowns_read
WHERE seal IN state.4
UNION ALL
{sealed_hours}
SELECT
    hour AS window_start,
    pin_id,
    of AS dimension,
    if(of = 'surface', surface, platform) AS label,
    sum(events * (action = {number})) AS {column},
    sum(trusted * (action = {number})) AS trusted_{column},
    max(m.updated_at) AS updated_at,
    hour < state.1 AS is_final
FROM minutes_read AS m
ARRAY JOIN CAST([1, 2] AS Array(Enum8('surface' = 1, 'platform' = 2))) AS of
WHERE hour >= state.6 AND (hour >= state.1 OR has(state.5, hour))
GROUP BY hour, pin_id, dimension, label
HAVING {total} > 0
SETTINGS aggregate_functions_null_for_empty = 0, input_format_tsv_enum_as_number = 0
COMMENT 'Engagement per pin and hour by surface, and by platform; the sums of either are those of pin_engagement_1h';

CREATE OR REPLACE VIEW pin_breakdown_1d{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the day, event time, UTC; the window is [start, start + 1 day)',
    pin_id UInt64 COMMENT 'The pin',
    dimension Enum8('surface' = 1, 'platform' = 2) COMMENT 'Whether label is a surface or a platform',
    label LowCardinality(String) COMMENT 'The surface or platform, as events say it; unknown: they do not; other: beyond the first 256 of a slice',
    {column} UInt64 COMMENT '{Heading} in the window',
    trusted_{column} UInt64 COMMENT 'Trusted {heading} in the window: of one user, at most as many in a slice as the rule trusted_cap says',
    updated_at DateTime('UTC') COMMENT 'When the counts were last written, UTC',
    is_final Bool COMMENT 'true: no further event will be counted in this window (corrections aside)'
)
AS
{labelled_days}
SELECT window_start, pin_id, dimension, label, {counts}, updated_at, true AS is_final
FROM day_breakdowns_read
WHERE seal IN state.8
UNION ALL
{labelled_days}
SELECT window_start, pin_id, of AS dimension, toLowCardinality('unknown') AS label, {counts}, updated_at, true AS is_final
FROM days_read
ARRAY JOIN CAST([1, 2] AS Array(Enum8('surface' = 1, 'platform' = 2))) AS of
WHERE seal IN state.11
UNION ALL
{labelled_days}
SELECT
    toStartOfDay(start) AS window_start,
    pin_id,
    dimension,
    label,
    sum(c{number}) AS {column},
    sum(t{number}) AS trusted_{column},
    max(updated) AS updated_at,
    toStartOfDay(start) < toStartOfDay(state.1) AS is_final
FROM
(
    SELECT window_start AS start, pin_id, dimension, label,
        {column} AS c{number},
        trusted_{column} AS t{number},
        updated_at AS updated
    FROM hour_breakdowns_read
    WHERE seal IN state.4 AND window_start >= state.6
        AND (window_start >= state.5 OR has(state.7, toStartOfDay(window_start)))
    UNION ALL
    SELECT hour AS start, pin_id,
        of AS dimension,
        if(of = 'surface', surface, platform) AS label,
        if(action = {number}, events, 0) AS c{number},
        if(action = {number}, trusted, 0) AS t{number},
        updated_at AS updated
    FROM minutes_read
    ARRAY JOIN CAST([1, 2] AS Array(Enum8('surface' = 1, 'platform' = 2))) AS of
    WHERE hour >= state.10 AND (hour >= state.1 OR has(state.9, hour))
        AND hour >= state.6 AND (hour >= state.5 OR has(state.7, toStartOfDay(hour)))
)
GROUP BY window_start, pin_id, dimension, label
HAVING {total} > 0
SETTINGS aggregate_functions_null_for_empty = 0, input_format_tsv_enum_as_number = 0
COMMENT 'Engagement per pin and day by surface, and by platform; the sums of either are those of pin_engagement_1d';
