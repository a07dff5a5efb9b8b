-- The views of top pins. Each pintally migrate replaces them. What views.sql says at its head holds for them too. A
-- statement with {window} is repeated for each window of scripts.WINDOWS; {window_words} says which it is.
--
-- pin_top_... are plain views, so that BI tools find their columns: 100 pins by all actions together, at the newest cut. A
-- view with parameters (window, action, number, as_of) would be planned anew at each place that names it: measured, 370 ms
-- of CPU. `pintally top` and the Python reader ask the same in a few statements.
--
-- Scalar subqueries are short and read plain views, because they are planned at each place that names them. Those of one
-- text are read once in a query, also where views hold them, so an answer is of one cut. What is published is read first:
-- the first SELECT of each union finds nothing, and makes ClickHouse read `of` before it takes the snapshots of the tables
-- that follow.

CREATE OR REPLACE VIEW top_windows{on_cluster}
(
    window_name String COMMENT 'today, 24h, 1h or 10m',
    cut DateTime('UTC') COMMENT 'The newest cut; 1970 if there is none',
    window_from DateTime('UTC') COMMENT 'Start of the window',
    open_from DateTime('UTC') COMMENT 'Hours before it are complete, the others are read from tiles',
    window_until DateTime('UTC') COMMENT 'End of the window; 2106 if it ends with what is known',
    hour_seals Array(UInt64) COMMENT 'Seal numbers of its complete hours',
    tile_seals Array(UInt64) COMMENT 'Seal numbers of its arrival buckets'
)
AS
WITH assumeNotNull((SELECT (cut, hours_until) FROM newest_cut)) AS at
SELECT
    names.1 AS window_name,
    at.1 AS cut,
    names.2 AS window_from,
    least(greatest(window_from, at.2), window_until) AS open_from,
    names.3 AS window_until,
    arrayMap(hour -> hour.2, arrayFilter(hour -> hour.1 >= window_from AND hour.1 < open_from, hours)) AS hour_seals,
    tiles AS tile_seals
FROM
(
    SELECT
        groupArrayIf((window_start, rows_seal), kind = 'hours') AS hours,
        groupArrayIf(rows_seal, kind = 'tiles') AS tiles
    FROM feature_seals_read
    WHERE kind = 'hours' AND window_start >= toStartOfHour(at.1) - INTERVAL 24 HOUR AND window_start < at.2
        OR kind = 'tiles' AND window_start >= least(at.2, toStartOfHour(at.1) - INTERVAL 24 HOUR) - INTERVAL 1 DAY
            AND window_start < at.1
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0,
        input_format_tsv_enum_as_number = 0
)
ARRAY JOIN
[
    ('today', toStartOfDay(at.1), toStartOfDay(at.1) + INTERVAL 1 DAY),
    ('24h', toStartOfHour(at.1) - INTERVAL 24 HOUR, toDateTime(4294967295, 'UTC')),
    ('1h', at.1 - INTERVAL 1 HOUR, toDateTime(4294967295, 'UTC')),
    ('10m', at.1 - INTERVAL 10 MINUTE, toDateTime(4294967295, 'UTC'))
] AS names
COMMENT 'Part of pin_top: the windows at the newest cut';

-- The numbers of lists: the hour, or the bucket and the ten minutes.
CREATE OR REPLACE VIEW top_lists_{window}{on_cluster}
(
    list UInt64 COMMENT 'Which list: the heavy rows of an hour, or of ten minutes that arrived in a bucket; 0 for corrections',
    is_rest Bool COMMENT 'true: the highest counts among all pins that have no row in the list',
    pin_id UInt64 COMMENT 'The pin; 0 with is_rest',
    events UInt64 COMMENT 'All actions'
)
AS
WITH assumeNotNull((
    SELECT (cut, window_from, open_from, window_until, hour_seals, tile_seals)
    FROM top_windows
    WHERE window_name = '{window}' AND
{analyzer_is_new}
)) AS of
SELECT list, is_rest, pin_id, events
FROM
(
    SELECT toUInt64(0) AS list, false AS is_rest, toUInt64(0) AS pin_id, toUInt64(0) AS events
    FROM system.one
    WHERE dummy > 0 AND empty(of.5)
    UNION ALL
    SELECT toUInt64(window_start) AS list, is_rest, pin_id, events
    FROM hour_tops
    WHERE window_start >= of.2 AND window_start < of.3 AND seal IN of.5
    UNION ALL
    SELECT bitShiftLeft(toUInt64(arrived_at), 32) + toUInt64(window_start) AS list, is_rest, pin_id, events
    FROM tile_tops
    WHERE window_start >= of.3 AND window_start < of.4 AND arrived_at >= of.3 - INTERVAL 1 DAY AND arrived_at < of.1
        AND seal IN of.6
    UNION ALL
    SELECT toUInt64(0) AS list, false AS is_rest, pin_id, {total} AS events
    FROM pin_corrections
    WHERE window_start >= of.2 AND window_start < of.3 AND known_from <= of.1 AND seal IN of.6
) AS rows
SETTINGS apply_deleted_mask = 1
COMMENT 'Part of pin_top_{window}: pins with heavy rows in {window_words}, and corrections';

-- A pin has at least the events that lists say, and at most those and of each list that leaves it out the highest count
-- that it leaves out. See sinks/reads/finalists.py.
CREATE OR REPLACE VIEW top_finalists_{window}{on_cluster}
(
    pins Array(UInt64) COMMENT 'The pins that the top 100 are among, if certified',
    certified Bool COMMENT 'true: no other pin can be among them'
)
AS
WITH assumeNotNull((
    SELECT (groupArray(list), groupArray(events), sum(events))
    FROM top_lists_{window}
    WHERE is_rest AND events > 0
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0
)) AS rests
SELECT
    arrayMap(pin -> pin.1, arrayFilter(pin -> pin.3 >= bound, found)) AS pins,
    rests.3 < bound AND length(pins) < 1500 AS certified
FROM
(
    SELECT groupArray((pin_id, low, up)) AS found, greatest(1, arrayReverseSort(groupArray(low))[100]) AS bound
    FROM
    (
        SELECT pin_id, sum(events) AS low, sum(events) + rests.3 - sum(rests.2[place]) AS up
        FROM
        (
            SELECT pin_id, events, transform(list, rests.1, range(1, length(rests.1) + 1), 0) AS place
            FROM top_lists_{window}
            WHERE NOT is_rest
        )
        GROUP BY pin_id
        ORDER BY up DESC, pin_id
        LIMIT 1500
        SETTINGS aggregate_functions_null_for_empty = 0
    )
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0
) AS bounded
COMMENT 'Part of pin_top_{window}: which pins may be among the top 100';

CREATE OR REPLACE VIEW pin_top_{window}{on_cluster}
(
    place UInt64 COMMENT 'From 1 to 100: most events first, equal counts by pin',
    pin_id UInt64 COMMENT 'The pin',
    {column} UInt64 COMMENT '{Heading} of {window_words}',
    trusted_{column} UInt64 COMMENT 'Trusted {heading} of {window_words}: of one user, at most as many in a slice as the rule trusted_cap says',
    events UInt64 COMMENT 'All actions of {window_words}: what pins are sorted by',
    trusted UInt64 COMMENT 'Trusted events of all actions',
    as_of DateTime('UTC') COMMENT 'The cut: these events had reached every source by then (arrival), and no others are counted',
    certified Bool COMMENT 'true: found from heavy rows, whose bounds prove that no other pin has as much; false: all pins were added up. Both are exact'
)
AS
WITH
assumeNotNull((
    SELECT (cut, window_from, open_from, window_until, hour_seals, tile_seals)
    FROM top_windows
    WHERE window_name = '{window}' AND
{analyzer_is_new}
)) AS of,
assumeNotNull((
    SELECT (pins, certified)
    FROM top_finalists_{window}
    WHERE
{analyzer_is_new}
)) AS finalists
SELECT
    row_number() OVER (ORDER BY total DESC, pin_id) AS place,
    pin_id,
    s{number} AS {column},
    t{number} AS trusted_{column},
    total AS events,
    {total_of_trusted} AS trusted,
    of.1 AS as_of,
    finalists.2 AS certified
FROM
(
    SELECT
        pin_id,
        sum(c{number}) AS s{number},
        sum(d{number}) AS t{number},
        {total_of_sums} AS total
    FROM
    (
        SELECT
            toUInt64(0) AS c{number},
            toUInt64(0) AS d{number},
            toUInt64(0) AS pin_id
        FROM system.one
        WHERE dummy > 0 AND empty(of.5)
        UNION ALL
        SELECT
            {column} AS c{number},
            trusted_{column} AS d{number},
            pin_id
        FROM pin_hours_by_pin
        WHERE window_start >= of.2 AND window_start < of.3 AND seal IN of.5 AND (NOT finalists.2 OR pin_id IN finalists.1)
        UNION ALL
        SELECT
            {column} AS c{number},
            trusted_{column} AS d{number},
            pin_id
        FROM pin_tiles
        WHERE window_start >= of.3 AND window_start < of.4 AND arrived_at < of.1 AND seal IN of.6
            AND (NOT finalists.2 OR pin_id IN finalists.1)
        UNION ALL
        SELECT
            {column} AS c{number},
            trusted_{column} AS d{number},
            pin_id
        FROM pin_corrections
        WHERE window_start >= of.2 AND window_start < of.3 AND known_from <= of.1 AND seal IN of.6
            AND (NOT finalists.2 OR pin_id IN finalists.1)
    )
    GROUP BY pin_id
    HAVING total > 0
    ORDER BY total DESC, pin_id
    LIMIT 100
    SETTINGS aggregate_functions_null_for_empty = 0, apply_deleted_mask = 1
) AS ranked
COMMENT 'The 100 pins with the most events of {window_words}, at the newest cut';

-- Among pins with heavy rows alone: whatever has a high trend has many events in the last hour, as x >= trend_1h.
CREATE OR REPLACE VIEW pin_trending{on_cluster}
(
    place UInt64 COMMENT 'From 1 to 100: highest trend first, equal ones by pin',
    pin_id UInt64 COMMENT 'The pin',
    {column}_1h UInt64 COMMENT '{Heading} of the last hour, as in pin_features_latest',
    trusted_{column}_1h UInt64 COMMENT 'Trusted {heading} of the last hour, as in pin_features_latest',
    trend_1h Float64 COMMENT 'Standard deviations by which the last hour is above the mean of the pin, as in pin_features_latest',
    as_of DateTime('UTC') COMMENT 'The cut: these events had reached every source by then (arrival), and no others are counted'
)
AS
SELECT
    row_number() OVER (ORDER BY trend_1h DESC, pin_id) AS place,
    pin_id,
    {column}_1h,
    trusted_{column}_1h,
    trend_1h,
    as_of
FROM
(
    SELECT
        {column}_1h,
        trusted_{column}_1h,
        pin_id,
        trend_1h,
        as_of
    FROM pin_features_latest
    WHERE pin_id IN (SELECT pin_id FROM top_lists_1h WHERE NOT is_rest)
    ORDER BY trend_1h DESC, pin_id
    LIMIT 100
) AS highest
COMMENT 'The 100 pins with the highest trend among those with the most events of the last hour, at the newest cut';
