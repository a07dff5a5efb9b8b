-- The views of features. Each pintally migrate replaces them. What views.sql says at its head holds for them too.
--
-- What is published is read first: the cut, then the seals, then the tables. So a cut finds all seals that it was published
-- after, and a seal all its rows. Seals are bounded to the windows that are read.
-- A line with {label} is repeated for each action but close-ups.

CREATE OR REPLACE VIEW feature_seals_read{on_cluster}
(
    kind Enum8('tiles' = 1, 'hours' = 2, 'base' = 3) COMMENT 'Which windows: see feature_seals',
    window_start DateTime('UTC') COMMENT 'Start of the arrival bucket, of the hour, or the day',
    rows_seal UInt64 COMMENT 'Seal number of the rows that count'
)
AS SELECT kind, window_start, rows_seal
FROM feature_seals FINAL
WHERE rows_seal > 0 AND pins > 0
SETTINGS apply_deleted_mask = 1, input_format_tsv_enum_as_number = 0
COMMENT 'Part of pin_features and pin_top: which rows count';

-- A scalar subquery is planned anew in each SELECT that names it: so all that can be is in views, and it is short.
CREATE OR REPLACE VIEW cuts_read{on_cluster}
(
    cut DateTime('UTC') COMMENT 'The cut: what arrived before it is known',
    rank Tuple(Int64, Int64) COMMENT 'Of two rows of a cut the one that was published first holds: it is the higher',
    published_at DateTime64(3, 'UTC') COMMENT 'When readers could see the cut',
    hours_until DateTime('UTC') COMMENT 'Every hour before it is complete at the cut',
    base_day DateTime('UTC') COMMENT 'The day of hours_until',
    last_24h DateTime('UTC') COMMENT 'The cut less 24 hours, rounded down to an hour',
    hours_from DateTime('UTC') COMMENT 'The first hour that is read',
    last_1h DateTime('UTC') COMMENT 'The cut less an hour',
    tiles_age_to Int64 COMMENT 'The cut, in seconds since 1970',
    hours_age_to Int64 COMMENT 'The cut, rounded down to an hour, in seconds since 1970'
)
AS SELECT
    cut,
    (-toUnixTimestamp64Milli(published_at), -toInt64(seal)) AS rank,
    published_at,
    hours_until,
    toStartOfDay(hours_until) AS base_day,
    toStartOfHour(cut) - INTERVAL 24 HOUR AS last_24h,
    least(base_day, last_24h) AS hours_from,
    cut - INTERVAL 1 HOUR AS last_1h,
    toInt64(toUnixTimestamp(cut)) AS tiles_age_to,
    toInt64(toUnixTimestamp(toStartOfHour(cut))) AS hours_age_to
FROM cuts
WHERE hours_until >= toStartOfDay(now('UTC')) - INTERVAL 88 DAY AND
{answers_are_whole}
    AND
{analyzer_is_new}
SETTINGS apply_deleted_mask = 1
COMMENT 'Part of pin_features: cuts';

CREATE OR REPLACE VIEW newest_cut{on_cluster}
(
    cut DateTime('UTC') COMMENT 'The newest cut: what arrived before it is known; 1970 if there is none',
    hours_until DateTime('UTC') COMMENT 'Every hour before it is complete at the cut'
)
AS
SELECT newest.1 AS cut, newest.3 AS hours_until
FROM
(
    SELECT max((cut, rank, hours_until)) AS newest
    FROM cuts_read
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0
) AS published
COMMENT 'Part of pin_top: one row, the newest cut';

CREATE OR REPLACE VIEW pin_features_latest{on_cluster}
(
{feature_columns}
)
AS
WITH assumeNotNull((
    SELECT max((cut, rank, hours_until, base_day, last_24h, hours_from, last_1h, tiles_age_to, hours_age_to))
    FROM cuts_read
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0
)) AS at,
{features_at_a_cut}
COMMENT 'Features of pins at the newest cut';

CREATE OR REPLACE VIEW pin_features{on_cluster}
(
{feature_columns}
)
AS
WITH assumeNotNull((
    SELECT max((cut, rank, hours_until, base_day, last_24h, hours_from, last_1h, tiles_age_to, hours_age_to))
    FROM cuts_read
    WHERE published_at <= {as_of:DateTime64(3, 'UTC')}
        AND toUInt8(if({as_of:DateTime64(3, 'UTC')} <= now('UTC') + INTERVAL 1 MINUTE, '1', 'as_of is in the future'))
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0
)) AS at,
{features_at_a_cut}
COMMENT 'Features of pins as they were known at the moment as_of (UTC): pin_features(as_of = ''2026-01-31 12:00:00''). Columns as in pin_features_latest';

CREATE OR REPLACE VIEW data_status{on_cluster}
(
    data Enum8('tiles' = 1, 'complete_hours' = 2, 'base' = 3, 'hours' = 4, 'days' = 5) COMMENT 'tiles: what pin_features_latest knows; complete_hours and base: what it reads of older events; hours and days: pin_engagement_1h and pin_engagement_1d',
    known_until DateTime('UTC') COMMENT 'Of tiles the newest cut, of base the start of the newest day, else the end of the newest window; 1970 for none',
    age_seconds Int64 COMMENT 'Seconds from known_until to now',
    published_at DateTime('UTC') COMMENT 'When ClickHouse received the newest window; 1970 for none',
    open_windows UInt64 COMMENT 'Windows whose counts may have changed, to be sealed again',
    corrected_windows UInt64 COMMENT 'Windows whose counts changed after they were first sealed',
    status Enum8('PROCESSING' = 1, 'READY' = 2) COMMENT 'READY: no window is open; PROCESSING: some are open, or there is none yet'
)
AS
SELECT
    data,
    max(until) AS known_until,
    toInt64(toUnixTimestamp(now('UTC'))) - toInt64(toUnixTimestamp(known_until)) AS age_seconds,
    max(published) AS published_at,
    toUInt64(arrayCount(start -> start < known_until OR start = known_until AND data = 'base', groupArrayArray(open)))
        AS open_windows,
    sum(changed) AS corrected_windows,
    if(open_windows = 0 AND known_until > toDateTime(0, 'UTC'), 'READY', 'PROCESSING') AS status
FROM
(
    SELECT 'tiles' AS data, max(cut) AS until, toDateTime(max(cuts.published_at), 'UTC') AS published,
        emptyArrayDateTime() AS open, 0 AS changed
    FROM cuts
    WHERE
{answers_are_whole}
    UNION ALL
    SELECT multiIf(kind = 'hours', 'complete_hours', kind = 'base', 'base', 'tiles') AS data,
        maxIf(window_start + INTERVAL if(kind = 'hours', 1, 0) HOUR, kind != 'tiles' AND rows_seal > 0) AS until,
        maxIf(written_at, rows_seal > 0) AS published, groupArrayIf(window_start, is_open) AS open, countIf(corrected) AS changed
    FROM feature_seals FINAL
    WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL 89 DAY
    GROUP BY kind
    UNION ALL
    SELECT if(resolution = 'hour', 'hours', 'days') AS data,
        maxIf(window_start + INTERVAL if(resolution = 'hour', 1, 24) HOUR, NOT is_open) AS until,
        maxIf(written_at, NOT is_open) AS published, groupArrayIf(window_start, is_open) AS open, countIf(corrected) AS changed
    FROM sealed FINAL
    WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL if(resolution = 'hour', 90, 730) DAY
    GROUP BY resolution
    UNION ALL
    SELECT arrayJoin(['tiles', 'complete_hours', 'base', 'hours', 'days']) AS data, toDateTime(0, 'UTC') AS until,
        until AS published, emptyArrayDateTime() AS open, 0 AS changed
)
GROUP BY data
SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0, apply_deleted_mask = 1,
    input_format_tsv_enum_as_number = 0
COMMENT 'How fresh and how complete the counts are: one row for each kind of window';
