-- The views of readers. Each pintally migrate replaces them. A user with the rights of a reader may read all of them. A
-- line with {column} is repeated for each action of schemas/actions.py.
--
-- ClickHouse takes a table's snapshot before it runs the scalar subqueries beside it, and that of a view's tables after
-- them. Hence the views called *_read: what is sealed is read first, and every roll-up it names is then there.
--
-- The counts are the same, whatever the profile and the session of a reader say. docs/clickhouse-settings.toml has the
-- list of settings, docs/tables.md what a reader sees. What changes the meaning of a view's SQL is set within the view.
-- What cuts an answer short cannot be: limits hold for the whole query of a reader. So minutes_read, which each of the
-- three reads once, looks for those when a query is planned, and makes an error of them: text that is no number. limit and
-- offset are not to be seen from within a view.
--
-- Counts are sums of products, not sumIf: that is NULL where nothing meets the condition, if a reader's
-- aggregate_functions_null_for_empty is set and the old analyzer overlooks that the view sets it back.
--
-- bench/views.py measures what they cost. A subquery before COMMENT has an alias: servers before 26.7 take COMMENT for one.

CREATE OR REPLACE VIEW seal_state{on_cluster}
(
    sealed_until DateTime('UTC') COMMENT 'End of the last sealed hour; 1970 if none is sealed',
    minutes_from DateTime('UTC') COMMENT 'No hour before it is read from minutes',
    open_hours Array(DateTime('UTC')) COMMENT 'Hours before sealed_until that are open: read from minutes until they are sealed again',
    hour_seals Array(UInt64) COMMENT 'Seal numbers of the hours that count',
    days_until DateTime('UTC') COMMENT 'End of the last sealed day; 1970 if none is sealed',
    days_from DateTime('UTC') COMMENT 'No day before it is read from hours and minutes',
    open_days Array(DateTime('UTC')) COMMENT 'Days before days_until that are open',
    day_seals Array(UInt64) COMMENT 'Seal numbers of the days that count',
    cell_hours Array(DateTime('UTC')) COMMENT 'Hours that breakdowns take from cells: open ones, and those of which no cell names a label',
    cells_from DateTime('UTC') COMMENT 'No hour before it is read from cells by breakdowns',
    plain_day_seals Array(UInt64) COMMENT 'Seal numbers of the days of which no cell names a label'
)
AS
SELECT
    hours_end AS sealed_until,
    arrayMin(arrayPushBack(open_hours, hours_end)) AS minutes_from,
    arraySort(arrayFilter(h -> h < hours_end, hours_open)) AS open_hours,
    hour_seals,
    days_end AS days_until,
    arrayMin(arrayPushBack(open_days, days_end)) AS days_from,
    arraySort(arrayFilter(d -> d < days_end, days_open)) AS open_days,
    day_seals,
    arraySort(arrayFilter(h -> h < hours_end, hours_by_cells)) AS cell_hours,
    arrayMin(arrayPushBack(cell_hours, hours_end)) AS cells_from,
    plain_day_seals
FROM
(
    SELECT
        maxIf(window_start + INTERVAL 1 HOUR, resolution = 'hour' AND NOT is_open) AS hours_end,
        groupArrayIf(window_start, resolution = 'hour' AND is_open) AS hours_open,
        groupArrayIf(seal, resolution = 'hour' AND NOT is_open AND pins > 0) AS hour_seals,
        maxIf(window_start + INTERVAL 1 DAY, resolution = 'day' AND NOT is_open) AS days_end,
        groupArrayIf(window_start, resolution = 'day' AND is_open) AS days_open,
        groupArrayIf(seal, resolution = 'day' AND NOT is_open AND pins > 0) AS day_seals,
        groupArrayIf(window_start, resolution = 'hour' AND (is_open OR breakdown_sum = 0 AND pins > 0)) AS hours_by_cells,
        groupArrayIf(seal, resolution = 'day' AND NOT is_open AND pins > 0 AND breakdown_sum = 0) AS plain_day_seals
    FROM sealed FINAL
    WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL if(resolution = 'hour', 90, 730) DAY
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0, apply_deleted_mask = 1,
        input_format_tsv_enum_as_number = 0
) AS these
COMMENT 'One row: what is sealed';

-- FINAL by itself reads all columns of a granule before it looks at any condition. The first setting lets conditions on
-- columns of the sort key, which all versions of a row share, be looked at first; others still wait for FINAL. The second
-- says that versions of a row are in one partition: ClickHouse does not see in the sort key what partitions are made of,
-- and would search the indices of all 90 days.
CREATE OR REPLACE VIEW minutes_read{on_cluster}
(
    hour DateTime('UTC') COMMENT 'Start of the hour',
    minute DateTime('UTC') COMMENT 'Start of the minute',
    pin_id UInt64 COMMENT 'The pin',
    action UInt8 COMMENT '{actions}',
    surface LowCardinality(String) COMMENT 'Where in the app: as in pin_minutes',
    platform LowCardinality(String) COMMENT 'On which platform: as in pin_minutes',
    events UInt64 COMMENT 'Counted events',
    trusted UInt64 COMMENT 'Those of them that are trusted',
    updated_at DateTime('UTC') COMMENT 'When ClickHouse received the row'
)
AS
SELECT hour, minute, pin_id, action, surface, platform, events, trusted, updated_at
FROM pin_minutes FINAL
WHERE hour >= toStartOfDay(now('UTC')) - INTERVAL 89 DAY AND
{answers_are_whole}
SETTINGS optimize_move_to_prewhere_if_final = 1, do_not_merge_across_partitions_select_final = 1, apply_deleted_mask = 1
COMMENT 'Part of the views of counts: one current cell for each key';

CREATE OR REPLACE VIEW hours_read{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the hour',
    pin_id UInt64 COMMENT 'The pin',
    {column} UInt64 COMMENT '{Heading}',
    trusted_{column} UInt64 COMMENT 'Trusted {heading}',
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes',
    seal UInt64 COMMENT 'The sealing that wrote the row'
)
AS SELECT window_start, pin_id, {counts}, updated_at, seal
FROM pin_hours
WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL 89 DAY
SETTINGS apply_deleted_mask = 1
COMMENT 'Part of the pin_engagement views: hourly roll-ups, of every seal';

CREATE OR REPLACE VIEW days_read{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the day, UTC',
    pin_id UInt64 COMMENT 'The pin',
    {column} UInt64 COMMENT '{Heading}',
    trusted_{column} UInt64 COMMENT 'Trusted {heading}',
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes',
    seal UInt64 COMMENT 'The sealing that wrote the row'
)
AS SELECT window_start, pin_id, {counts}, updated_at, seal
FROM pin_days
WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL 729 DAY
SETTINGS apply_deleted_mask = 1
COMMENT 'Part of the pin_engagement views: daily roll-ups, of every seal';

-- A set of final hours, not a scalar: sealed is read only where is_final is asked for, which saves a sixth of the CPU of a
-- query for one pin. It too is of a moment before minutes_read looks for its rows, so that whatever a query calls final it
-- has read in full. minutes_read shows 90 days.
CREATE OR REPLACE VIEW pin_engagement_1m{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the minute, event time, UTC; the window is [start, start + 1 min)',
    pin_id UInt64 COMMENT 'The pin',
    {column} UInt64 COMMENT '{Heading} in the window',
    trusted_{column} UInt64 COMMENT 'Trusted {heading} in the window: of one user, at most as many in a slice as the rule trusted_cap says',
    updated_at DateTime('UTC') COMMENT 'When the counts were last written, UTC',
    is_final Bool COMMENT 'true: no further event will be counted in this window (corrections aside)'
)
AS
SELECT
    minute AS window_start,
    pin_id,
    sum(events * (action = {number})) AS {column},
    sum(trusted * (action = {number})) AS trusted_{column},
    max(m.updated_at) AS updated_at,
    toStartOfHour(minute) IN
    (
        SELECT arrayJoin(arrayMap(hours -> last_hour - toIntervalHour(hours), range(100 * 24)))
        FROM
        (
            SELECT max(window_start) AS last_hour
            FROM sealed FINAL
            WHERE resolution = 'hour' AND NOT is_open
            HAVING count() > 0
            SETTINGS aggregate_functions_null_for_empty = 0, apply_deleted_mask = 1, input_format_tsv_enum_as_number = 0
        )
    ) AS is_final
FROM minutes_read AS m
GROUP BY minute, pin_id
HAVING {total} > 0
SETTINGS aggregate_functions_null_for_empty = 0
COMMENT 'Engagement per pin and minute';

CREATE OR REPLACE VIEW pin_engagement_1h{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the hour, event time, UTC; the window is [start, start + 1 h)',
    pin_id UInt64 COMMENT 'The pin',
    {column} UInt64 COMMENT '{Heading} in the window',
    trusted_{column} UInt64 COMMENT 'Trusted {heading} in the window: of one user, at most as many in a slice as the rule trusted_cap says',
    updated_at DateTime('UTC') COMMENT 'When the counts were last written, UTC',
    is_final Bool COMMENT 'true: no further event will be counted in this window (corrections aside)'
)
AS
{sealed_hours}
SELECT window_start, pin_id, {counts}, updated_at, true AS is_final
FROM hours_read
WHERE seal IN state.4
UNION ALL
{sealed_hours}
SELECT
    hour AS window_start,
    pin_id,
    sum(events * (action = {number})) AS {column},
    sum(trusted * (action = {number})) AS trusted_{column},
    max(m.updated_at) AS updated_at,
    hour < state.1 AS is_final
FROM minutes_read AS m
WHERE hour >= state.3 AND (hour >= state.1 OR has(state.2, hour))
GROUP BY hour, pin_id
HAVING {total} > 0
SETTINGS aggregate_functions_null_for_empty = 0
COMMENT 'Engagement per pin and hour; always the sum of its minutes';

CREATE OR REPLACE VIEW pin_engagement_1d{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the day, event time, UTC; the window is [start, start + 1 day)',
    pin_id UInt64 COMMENT 'The pin',
    {column} UInt64 COMMENT '{Heading} in the window',
    trusted_{column} UInt64 COMMENT 'Trusted {heading} in the window: of one user, at most as many in a slice as the rule trusted_cap says',
    updated_at DateTime('UTC') COMMENT 'When the counts were last written, UTC',
    is_final Bool COMMENT 'true: no further event will be counted in this window (corrections aside)'
)
AS
{sealed_days}
SELECT window_start, pin_id, {counts}, updated_at, true AS is_final
FROM days_read
WHERE seal IN state.8
UNION ALL
{sealed_days}
SELECT
    toStartOfDay(start) AS window_start,
    pin_id,
    sum(c{number}) AS {column},
    sum(t{number}) AS trusted_{column},
    max(updated) AS updated_at,
    toStartOfDay(start) < toStartOfDay(state.1) AS is_final
FROM
(
    SELECT window_start AS start, pin_id,
        {column} AS c{number},
        trusted_{column} AS t{number},
        updated_at AS updated
    FROM hours_read
    WHERE seal IN state.4 AND window_start >= state.6
        AND (window_start >= state.5 OR has(state.7, toStartOfDay(window_start)))
    UNION ALL
    SELECT hour AS start, pin_id,
        if(action = {number}, events, 0) AS c{number},
        if(action = {number}, trusted, 0) AS t{number},
        updated_at AS updated
    FROM minutes_read
    WHERE hour >= state.2 AND (hour >= state.1 OR has(state.3, hour))
        AND hour >= state.6 AND (hour >= state.5 OR has(state.7, toStartOfDay(hour)))
)
GROUP BY window_start, pin_id
HAVING {total} > 0
SETTINGS aggregate_functions_null_for_empty = 0
COMMENT 'Engagement per pin and day; always the sum of its minutes';
