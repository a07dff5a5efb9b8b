-- Roll-ups and what says which of them count. Written by sealing alone; a row counts only while `sealed` names its seal.

CREATE TABLE IF NOT EXISTS pin_hours
(
    window_start DateTime('UTC') COMMENT 'Start of the hour' CODEC(Delta, ZSTD(1)),
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, ZSTD(1)),
    saves UInt64 COMMENT 'Saves in the hour' CODEC(T64, ZSTD(1)),
    clicks UInt64 COMMENT 'Clicks in the hour' CODEC(T64, ZSTD(1)),
    closeups UInt64 COMMENT 'Close-ups in the hour' CODEC(T64, ZSTD(1)),
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(Delta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(window_start)
ORDER BY (window_start, pin_id)
TTL window_start + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Counts a pin and hour, by time. Only rows whose seal is named by sealed count: read pin_engagement_1h';

CREATE TABLE IF NOT EXISTS pin_days
(
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, ZSTD(1)),
    window_start DateTime('UTC') COMMENT 'Start of the day, UTC' CODEC(Delta, ZSTD(1)),
    saves UInt64 COMMENT 'Saves in the day' CODEC(T64, ZSTD(1)),
    clicks UInt64 COMMENT 'Clicks in the day' CODEC(T64, ZSTD(1)),
    closeups UInt64 COMMENT 'Close-ups in the day' CODEC(T64, ZSTD(1)),
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(window_start)
ORDER BY (pin_id, window_start)
TTL window_start + INTERVAL 730 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Counts a pin and day, by pin. Only rows whose seal is named by sealed count: read pin_engagement_1d';

CREATE TABLE IF NOT EXISTS seal_numbers
(
    seal UInt64 COMMENT 'A number taken before the minutes were read; each is taken once',
    taken_by UUID COMMENT 'Who took it',
    taken_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When it was taken, for people only'
)
ENGINE = MergeTree
ORDER BY seal
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Numbers of sealings: who takes one later has the higher one';

CREATE TABLE IF NOT EXISTS sealed
(
    resolution Enum8('hour' = 1, 'day' = 2) COMMENT 'Which roll-up',
    window_start DateTime('UTC') COMMENT 'Start of the hour or day',
    seal UInt64 COMMENT 'The highest seal of a window says what holds',
    is_open Bool COMMENT 'true: read its minutes (it awaits correction); false: read its roll-up with this seal',
    corrected Bool COMMENT 'true: its counts changed after it was first sealed',
    pins UInt64 COMMENT 'Pins in the roll-up',
    saves UInt64 COMMENT 'Sum of saves in the roll-up',
    clicks UInt64 COMMENT 'Sum of clicks in the roll-up',
    closeups UInt64 COMMENT 'Sum of close-ups in the roll-up',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse took this row'
)
ENGINE = ReplacingMergeTree(seal)
ORDER BY (resolution, window_start)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Which hours and days are sealed, by which seal. Read with FINAL, or through seal_state';
