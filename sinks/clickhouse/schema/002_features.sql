-- What was known when (docs/decisions/0017-features-as-of-a-cut.md). Only sealing writes these tables. A row counts only if
-- feature_seals has its seal as the rows_seal of its window. A line with {column} is repeated for each action.
--
-- A pin is looked up in granules of 256 rows, and in compressed blocks of a few granules: a look-up unpacks a whole block
-- of each column, so with blocks of 64 KiB, the default, it costs twice the CPU. Smaller blocks cost 0 to 5% of disk.

CREATE TABLE IF NOT EXISTS pin_tiles{on_cluster}
(
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, LZ4),
    window_start DateTime('UTC') COMMENT 'Start of ten minutes of event time' CODEC(T64, LZ4),
    arrived_at DateTime('UTC') COMMENT 'Arrival bucket: known at every later cut' CODEC(T64, LZ4),
    {column} UInt64 COMMENT '{Heading} of the ten minutes that arrived in the bucket' CODEC(T64, LZ4),
    trusted_{column} UInt64 COMMENT 'Trusted {heading} of the ten minutes that arrived in the bucket' CODEC(T64, LZ4),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(T64, LZ4),
    INDEX seal seal TYPE minmax GRANULARITY 128
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMMDD(window_start)
ORDER BY (pin_id, window_start, arrived_at)
TTL window_start + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 256, min_compress_block_size = 8192, fsync_after_insert = 1,
    fsync_part_directory = 1
COMMENT 'What became known of a pin in one arrival bucket, by ten minutes, in hours that were not complete. Read pin_features';

CREATE TABLE IF NOT EXISTS pin_hours_by_pin{on_cluster}
(
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, LZ4),
    window_start DateTime('UTC') COMMENT 'Start of the hour' CODEC(T64, LZ4),
    {column} UInt64 COMMENT '{Heading} of the hour that arrived before it was complete' CODEC(T64, LZ4),
    trusted_{column} UInt64 COMMENT 'Trusted {heading} of the hour that arrived before it was complete' CODEC(T64, LZ4),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(T64, LZ4),
    INDEX seal seal TYPE minmax GRANULARITY 128
)
ENGINE = {family}MergeTree
PARTITION BY toMonday(window_start)
ORDER BY (pin_id, window_start)
TTL window_start + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 256, min_compress_block_size = 8192, fsync_after_insert = 1,
    fsync_part_directory = 1
COMMENT 'Complete hours by pin, without later corrections. Read pin_features';

CREATE TABLE IF NOT EXISTS pin_corrections{on_cluster}
(
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, LZ4),
    window_start DateTime('UTC') COMMENT 'Start of the hour, which was complete before' CODEC(T64, LZ4),
    known_from DateTime('UTC') COMMENT 'Known at this cut and later ones: end of the bucket in which the events arrived' CODEC(T64, LZ4),
    {column} UInt64 COMMENT '{Heading} of the hour that arrived in the bucket' CODEC(T64, LZ4),
    trusted_{column} UInt64 COMMENT 'Trusted {heading} of the hour that arrived in the bucket' CODEC(T64, LZ4),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(T64, LZ4),
    INDEX seal seal TYPE minmax GRANULARITY 128
)
ENGINE = {family}MergeTree
PARTITION BY toMonday(window_start)
ORDER BY (pin_id, window_start, known_from)
TTL window_start + INTERVAL 125 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 256, min_compress_block_size = 8192, fsync_after_insert = 1,
    fsync_part_directory = 1
COMMENT 'What arrived for hours that were complete: replayed dead letters above all. Read pin_features';

CREATE TABLE IF NOT EXISTS pin_base{on_cluster}
(
    day DateTime('UTC') COMMENT 'Start of a day, UTC: the sums are of the days before it' CODEC(Delta, ZSTD(1)),
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, LZ4),
    {column}_7d UInt64 COMMENT '{Heading} of the 7 days before, in complete hours' CODEC(T64, LZ4),
    trusted_{column}_7d UInt64 COMMENT 'Trusted {heading} of the 7 days before, in complete hours' CODEC(T64, LZ4),
    {column}_30d UInt64 COMMENT '{Heading} of the 30 days before, in complete hours' CODEC(T64, LZ4),
    trusted_{column}_30d UInt64 COMMENT 'Trusted {heading} of the 30 days before, in complete hours' CODEC(T64, LZ4),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(Delta, ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMMDD(day)
ORDER BY pin_id
TTL day + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 256, min_compress_block_size = 8192, fsync_after_insert = 1,
    fsync_part_directory = 1
COMMENT 'Sums of the days before a day by pin, without later corrections. Read pin_features';

CREATE TABLE IF NOT EXISTS hour_tops{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the hour' CODEC(Delta, ZSTD(1)),
    is_rest Bool COMMENT 'true: the highest of each count among all pins that have no row here',
    pin_id UInt64 COMMENT 'The pin; 0 with is_rest' CODEC(Delta, LZ4),
    {column} UInt64 COMMENT '{Heading} of the pin in the hour, as in pin_hours_by_pin' CODEC(T64, LZ4),
    trusted_{column} UInt64 COMMENT 'Trusted {heading} of the pin in the hour, as in pin_hours_by_pin' CODEC(T64, LZ4),
    events UInt64 COMMENT 'All actions' CODEC(T64, LZ4),
    trusted UInt64 COMMENT 'Trusted events of all actions' CODEC(T64, LZ4),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(Delta, ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMM(window_start)
ORDER BY (window_start, pin_id)
TTL window_start + INTERVAL 90 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'The pins with the most events of a complete hour, about 10,000. Read pin_top';

CREATE TABLE IF NOT EXISTS tile_tops{on_cluster}
(
    arrived_at DateTime('UTC') COMMENT 'Arrival bucket' CODEC(Delta, ZSTD(1)),
    window_start DateTime('UTC') COMMENT 'Start of ten minutes of event time' CODEC(Delta, ZSTD(1)),
    is_rest Bool COMMENT 'true: the highest of each count among all pins that have no row here for this tile',
    pin_id UInt64 COMMENT 'The pin; 0 with is_rest' CODEC(Delta, LZ4),
    {column} UInt64 COMMENT '{Heading} of the pin in the tile, as in pin_tiles' CODEC(T64, LZ4),
    trusted_{column} UInt64 COMMENT 'Trusted {heading} of the pin in the tile, as in pin_tiles' CODEC(T64, LZ4),
    events UInt64 COMMENT 'All actions' CODEC(T64, LZ4),
    trusted UInt64 COMMENT 'Trusted events of all actions' CODEC(T64, LZ4),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(Delta, ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMMDD(arrived_at)
ORDER BY (arrived_at, window_start, pin_id)
TTL arrived_at + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'The pins with the most events of a bucket, about 1,700. Read pin_top';

CREATE TABLE IF NOT EXISTS feature_seals{on_cluster}
(
    kind Enum8('tiles' = 1, 'hours' = 2, 'base' = 3) COMMENT 'tiles: pin_tiles, pin_corrections and tile_tops; hours: pin_hours_by_pin and hour_tops; base: pin_base',
    window_start DateTime('UTC') COMMENT 'Start of the arrival bucket, of the hour, or the day',
    seal UInt64 COMMENT 'Seal number; of a window the row with the highest one holds',
    rows_seal UInt64 COMMENT 'Seal number of the rows that count; of an open window those of its last publication, 0 for none',
    is_open Bool COMMENT 'true: its cells may have changed, and it is to be sealed again',
    corrected Bool COMMENT 'true: its counts changed after it was first sealed, so that what was served before can differ',
    complete_at DateTime('UTC') COMMENT 'Of hours: the cut at which it became complete; of others: the cut from which it is read',
    pins UInt64 COMMENT 'Rows in its tables, without tops',
    {column} UInt64 COMMENT 'Sum of {heading} in its tables, without tops; of base the sum over 30 days',
    trusted_{column} UInt64 COMMENT 'Sum of trusted {heading} in its tables, without tops; of base the sum over 30 days',
    check_sum UInt64 COMMENT 'Sum over its cells of a hash of pin, action and, in tiles, start of the ten minutes, times their counts',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row'
)
ENGINE = {family}ReplacingMergeTree(seal)
ORDER BY (kind, window_start)
TTL window_start + INTERVAL 125 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Sealed windows of features, with their seal numbers. Read with FINAL';

CREATE TABLE IF NOT EXISTS cuts{on_cluster}
(
    cut DateTime('UTC') COMMENT 'Multiple of ten minutes: every source has passed it',
    hours_until DateTime('UTC') COMMENT 'Every hour before it is complete at the cut',
    published_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'When readers could see the cut',
    seal UInt64 COMMENT 'Seal number of the bucket that ends at the cut'
)
ENGINE = {family}MergeTree
ORDER BY (cut, published_at)
TTL cut + INTERVAL 730 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What was known when: the newest cut at a moment says which events a reader of that moment could see';
