-- What readers see. ClickHouse takes a table's snapshot before it runs the scalar subqueries beside it, and that of a
-- view's tables after them. Hence *_read below: seal_state is read first and every roll-up it names is then there.

CREATE VIEW IF NOT EXISTS seal_state
(
    sealed_until DateTime('UTC') COMMENT 'End of the last sealed hour; 1970 when none is',
    minutes_from DateTime('UTC') COMMENT 'No hour before it is read from minutes',
    open_hours Array(DateTime('UTC')) COMMENT 'Hours before sealed_until that await correction',
    hour_seals Array(UInt64) COMMENT 'Seals of the hours that count',
    days_until DateTime('UTC') COMMENT 'End of the last sealed day; 1970 when none is',
    days_from DateTime('UTC') COMMENT 'No day before it is read from hours and minutes',
    open_days Array(DateTime('UTC')) COMMENT 'Days before days_until that await correction',
    day_seals Array(UInt64) COMMENT 'Seals of the days that count'
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
    day_seals
FROM
(
    SELECT
        maxIf(window_start + INTERVAL 1 HOUR, resolution = 'hour' AND NOT is_open) AS hours_end,
        groupArrayIf(window_start, resolution = 'hour' AND is_open) AS hours_open,
        groupArrayIf(seal, resolution = 'hour' AND NOT is_open AND pins > 0) AS hour_seals,
        maxIf(window_start + INTERVAL 1 DAY, resolution = 'day' AND NOT is_open) AS days_end,
        groupArrayIf(window_start, resolution = 'day' AND is_open) AS days_open,
        groupArrayIf(seal, resolution = 'day' AND NOT is_open AND pins > 0) AS day_seals
    FROM sealed FINAL
    WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL if(resolution = 'hour', 90, 730) DAY
)
COMMENT 'One row: what is sealed';

CREATE VIEW IF NOT EXISTS minutes_read
(
    hour DateTime('UTC') COMMENT 'Start of the hour',
    minute DateTime('UTC') COMMENT 'Start of the minute',
    pin_id UInt64 COMMENT 'The pin',
    action UInt8 COMMENT '1 save, 2 click, 3 close-up',
    events UInt64 COMMENT 'Counted events',
    updated_at DateTime('UTC') COMMENT 'When ClickHouse took the row'
)
AS SELECT hour, minute, pin_id, action, events, updated_at
FROM pin_minutes FINAL
WHERE hour >= toStartOfDay(now('UTC')) - INTERVAL 89 DAY
COMMENT 'Part of the pin_engagement views: cells, one a key';

CREATE VIEW IF NOT EXISTS hours_read
(
    window_start DateTime('UTC') COMMENT 'Start of the hour',
    pin_id UInt64 COMMENT 'The pin',
    saves UInt64 COMMENT 'Saves',
    clicks UInt64 COMMENT 'Clicks',
    closeups UInt64 COMMENT 'Close-ups',
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes',
    seal UInt64 COMMENT 'The sealing that wrote the row'
)
AS SELECT window_start, pin_id, saves, clicks, closeups, updated_at, seal
FROM pin_hours
WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL 89 DAY
COMMENT 'Part of the pin_engagement views: hourly roll-ups, of every seal';

CREATE VIEW IF NOT EXISTS days_read
(
    window_start DateTime('UTC') COMMENT 'Start of the day, UTC',
    pin_id UInt64 COMMENT 'The pin',
    saves UInt64 COMMENT 'Saves',
    clicks UInt64 COMMENT 'Clicks',
    closeups UInt64 COMMENT 'Close-ups',
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes',
    seal UInt64 COMMENT 'The sealing that wrote the row'
)
AS SELECT window_start, pin_id, saves, clicks, closeups, updated_at, seal
FROM pin_days
WHERE window_start >= toStartOfDay(now('UTC')) - INTERVAL 729 DAY
COMMENT 'Part of the pin_engagement views: daily roll-ups, of every seal';

CREATE VIEW IF NOT EXISTS pin_engagement_1m
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
WITH (SELECT sealed_until FROM seal_state) AS sealed_until
SELECT
    minute AS window_start,
    pin_id,
    sumIf(events, action = 1) AS saves,
    sumIf(events, action = 2) AS clicks,
    sumIf(events, action = 3) AS closeups,
    max(m.updated_at) AS updated_at,
    minute < sealed_until AS is_final
FROM minutes_read AS m
GROUP BY minute, pin_id
HAVING saves + clicks + closeups > 0
COMMENT 'Engagement per pin and minute';

CREATE VIEW IF NOT EXISTS pin_engagement_1h
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
WITH (SELECT (sealed_until, minutes_from, open_hours, hour_seals) FROM seal_state) AS state
SELECT window_start, pin_id, saves, clicks, closeups, updated_at, true AS is_final
FROM hours_read
WHERE seal IN state.4
UNION ALL
WITH (SELECT (sealed_until, minutes_from, open_hours, hour_seals) FROM seal_state) AS state
SELECT
    hour AS window_start,
    pin_id,
    sumIf(events, action = 1) AS saves,
    sumIf(events, action = 2) AS clicks,
    sumIf(events, action = 3) AS closeups,
    max(m.updated_at) AS updated_at,
    hour < state.1 AS is_final
FROM minutes_read AS m
WHERE hour >= state.2 AND (hour >= state.1 OR has(state.3, hour))
GROUP BY hour, pin_id
HAVING saves + clicks + closeups > 0
COMMENT 'Engagement per pin and hour; always the sum of its minutes';

CREATE VIEW IF NOT EXISTS pin_engagement_1d
(
    window_start DateTime('UTC') COMMENT 'Start of the day, event time, UTC; the window is [start, start + 1 day)',
    pin_id UInt64 COMMENT 'The pin',
    saves UInt64 COMMENT 'Saves in the window',
    clicks UInt64 COMMENT 'Clicks in the window',
    closeups UInt64 COMMENT 'Close-ups in the window',
    updated_at DateTime('UTC') COMMENT 'When the counts were last written, UTC',
    is_final Bool COMMENT 'true: no further event will be counted in this window (corrections aside)'
)
AS
WITH (SELECT (sealed_until, minutes_from, open_hours, hour_seals, days_until, days_from, open_days, day_seals) FROM seal_state) AS state
SELECT window_start, pin_id, saves, clicks, closeups, updated_at, true AS is_final
FROM days_read
WHERE seal IN state.8
UNION ALL
WITH (SELECT (sealed_until, minutes_from, open_hours, hour_seals, days_until, days_from, open_days, day_seals) FROM seal_state) AS state
SELECT
    toStartOfDay(start) AS window_start,
    pin_id,
    sum(s) AS saves,
    sum(c) AS clicks,
    sum(u) AS closeups,
    max(updated) AS updated_at,
    toStartOfDay(start) < toStartOfDay(state.1) AS is_final
FROM
(
    SELECT window_start AS start, pin_id, saves AS s, clicks AS c, closeups AS u, updated_at AS updated
    FROM hours_read
    WHERE seal IN state.4 AND window_start >= state.6
        AND (window_start >= state.5 OR has(state.7, toStartOfDay(window_start)))
    UNION ALL
    SELECT hour AS start, pin_id, if(action = 1, events, 0) AS s, if(action = 2, events, 0) AS c,
        if(action = 3, events, 0) AS u, updated_at AS updated
    FROM minutes_read
    WHERE hour >= state.2 AND (hour >= state.1 OR has(state.3, hour))
        AND hour >= state.6 AND (hour >= state.5 OR has(state.7, toStartOfDay(hour)))
)
GROUP BY window_start, pin_id
HAVING saves + clicks + closeups > 0
COMMENT 'Engagement per pin and day; always the sum of its minutes';
