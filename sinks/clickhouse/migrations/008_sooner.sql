-- The same counts, read sooner. Measured by bench/views.py. No row changes, and every statement can be repeated.

-- `sealed` was read before each query for one pin, whether or not it asked what is final: a sixth of its CPU. A set is
-- read only where is_final is asked for. It too is of a moment before minutes_read looks for its rows, so that whatever a
-- query calls final it has read in full. minutes_read shows 90 days.
CREATE OR REPLACE VIEW pin_engagement_1m
(
    window_start DateTime('UTC') COMMENT 'Start of the minute, event time, UTC; the window is [start, start + 1 min)',
    pin_id UInt64 COMMENT 'The pin',
    saves UInt64 COMMENT 'Saves in the window',
    clicks UInt64 COMMENT 'Clicks in the window',
    closeups UInt64 COMMENT 'Close-ups in the window',
    updated_at DateTime('UTC') COMMENT 'When the counts were last written, UTC',
    is_final Bool COMMENT 'true: no further event will be counted in this window (corrections aside)'
)
AS
SELECT
    minute AS window_start,
    pin_id,
    sumIf(events, action = 1) AS saves,
    sumIf(events, action = 2) AS clicks,
    sumIf(events, action = 3) AS closeups,
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
        )
    ) AS is_final
FROM minutes_read AS m
GROUP BY minute, pin_id
HAVING saves + clicks + closeups > 0
COMMENT 'Engagement per pin and minute';

-- What hours need of seal_state, without its layers and its days: a quarter less to plan. Both halves of the view
-- hold the same subquery, letter for letter, so that it is read once and they agree on what is sealed.
CREATE OR REPLACE VIEW pin_engagement_1h
(
    window_start DateTime('UTC') COMMENT 'Start of the hour, event time, UTC; the window is [start, start + 1 h)',
    pin_id UInt64 COMMENT 'The pin',
    saves UInt64 COMMENT 'Saves in the window',
    clicks UInt64 COMMENT 'Clicks in the window',
    closeups UInt64 COMMENT 'Close-ups in the window',
    updated_at DateTime('UTC') COMMENT 'When the counts were last written, UTC',
    is_final Bool COMMENT 'true: no further event will be counted in this window (corrections aside)'
)
AS
WITH
(
    SELECT
    (
        maxIf(window_start + INTERVAL 1 HOUR, NOT is_open) AS until,
        groupArrayIf(window_start, is_open) AS open,
        arrayMin(arrayPushBack(open, until)),
        groupArrayIf(seal, NOT is_open AND pins > 0)
    )
    FROM sealed FINAL
    WHERE resolution = 'hour' AND window_start >= toStartOfDay(now('UTC')) - INTERVAL 90 DAY
) AS state
SELECT window_start, pin_id, saves, clicks, closeups, updated_at, true AS is_final
FROM hours_read
WHERE seal IN state.4
UNION ALL
WITH
(
    SELECT
    (
        maxIf(window_start + INTERVAL 1 HOUR, NOT is_open) AS until,
        groupArrayIf(window_start, is_open) AS open,
        arrayMin(arrayPushBack(open, until)),
        groupArrayIf(seal, NOT is_open AND pins > 0)
    )
    FROM sealed FINAL
    WHERE resolution = 'hour' AND window_start >= toStartOfDay(now('UTC')) - INTERVAL 90 DAY
) AS state
SELECT
    hour AS window_start,
    pin_id,
    sumIf(events, action = 1) AS saves,
    sumIf(events, action = 2) AS clicks,
    sumIf(events, action = 3) AS closeups,
    max(m.updated_at) AS updated_at,
    hour < state.1 AS is_final
FROM minutes_read AS m
WHERE hour >= state.3 AND (hour >= state.1 OR has(state.2, hour))
GROUP BY hour, pin_id
HAVING saves + clicks + closeups > 0
COMMENT 'Engagement per pin and hour; always the sum of its minutes';

-- A query for one pin wants a granule an hour and part, and of each column but pin_id a few rows. Blocks of a granule, not
-- of up to eight, save a tenth of its CPU and cost 0.1% of disk. Holds for parts written from now on, merges among them.
ALTER TABLE pin_minutes MODIFY SETTING min_compress_block_size = 8192;

-- The top pins of an hour are found by reading all of it, and decoding is most of that. LZ4 takes a sixth off, for two
-- bytes a row. Holds for parts written from now on, merges among them. (pin_days needs none: projections have no codecs.)
ALTER TABLE pin_hours
    MODIFY COLUMN pin_id CODEC(Delta, LZ4),
    MODIFY COLUMN saves CODEC(T64, LZ4),
    MODIFY COLUMN clicks CODEC(T64, LZ4),
    MODIFY COLUMN closeups CODEC(T64, LZ4);
