-- All tables. They are created once; pintally migrate refuses a database that an older version of this file made. A line
-- with {column} is repeated for each action of schemas/actions.py; columns of later actions are added to existing tables.
-- {family} is the family of engines, empty for one server.
--
-- The ledger covers pin_minutes, so all of these are written with fsync: the ledger must not survive its rows.

-- The sort key begins with an expression of minute, so that a condition on minute and one on hour both find their rows.
-- A query for one pin wants a granule an hour and part, and of each column but pin_id a few rows: blocks of a granule, not
-- of up to eight, save a tenth of its CPU and cost 0.1% of disk.
-- Sealing finds the cells of an arrival bucket by the index, which costs 16 bytes for 65,536 rows.
CREATE TABLE IF NOT EXISTS pin_minutes{on_cluster}
(
    source UInt64 COMMENT 'Source.id: 8 bytes of blake2b over topic, topic UUID and partition',
    slice_block UInt32 COMMENT 'Slice, first half: offset // slice_records',
    arrived_at DateTime('UTC') COMMENT 'Slice, second half: stream time of the source, rounded down to ten minutes',
    action UInt8 COMMENT 'Number of the action; minutes_read says which',
    minute DateTime('UTC') COMMENT 'Start of the event-time window [minute, minute + 60 s)',
    pin_id UInt64 COMMENT 'The pin',
    surface LowCardinality(String) COMMENT 'Surface of the events: a label, other (after 256 labels in a slice) or unknown (they have none)',
    platform LowCardinality(String) COMMENT 'Platform of the events, in the same way',
    events UInt64 COMMENT 'Counted events of this slice below the position in version; an absolute count',
    trusted UInt64 COMMENT 'Of events, those that are among the first of their user, pin and action in the slice; an absolute count',
    version UInt64 COMMENT 'epoch x 2^48 + position; the highest is current',
    hour DateTime('UTC') ALIAS toStartOfHour(minute) COMMENT 'Start of the hour of minute; not stored',
    updated_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row' CODEC(Delta, ZSTD(1)),
    INDEX arrived_at arrived_at TYPE minmax GRANULARITY 8
)
ENGINE = {family}ReplacingMergeTree(version)
PARTITION BY toYYYYMMDD(minute)
ORDER BY (toStartOfHour(minute), pin_id, toMinute(minute), action, surface, platform, source, slice_block, arrived_at)
TTL toStartOfHour(minute) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1, min_compress_block_size = 8192
COMMENT 'Cells: counts per source, slice, action, minute, pin, surface and platform. Read with FINAL, or through pin_engagement_1m';

-- An arm has at most 256 cells an hour, action and slice, however many events it has. People ask for one experiment.
CREATE TABLE IF NOT EXISTS experiment_cells{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    slice_block UInt32 COMMENT 'Slice, first half: offset // slice_records',
    arrived_at DateTime('UTC') COMMENT 'Slice, second half: stream time of the source, rounded down to ten minutes',
    action UInt8 COMMENT 'Number of the action',
    hour DateTime('UTC') COMMENT 'Start of the event-time window [hour, hour + 3600 s)' CODEC(Delta, ZSTD(1)),
    experiment LowCardinality(String) COMMENT 'The experiment; other, with the arm other, after 256 arms in a slice',
    arm LowCardinality(String) COMMENT 'Its arm',
    bucket UInt8 COMMENT 'Of the user: intHash64(user_id) % 256',
    events UInt64 COMMENT 'Counted events of this slice below the position in version; an absolute count' CODEC(T64, LZ4),
    trusted UInt64 COMMENT 'Of events, those that are trusted, as in pin_minutes; an absolute count' CODEC(T64, LZ4),
    version UInt64 COMMENT 'epoch x 2^48 + position; the highest is current',
    updated_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row' CODEC(Delta, ZSTD(1))
)
ENGINE = {family}ReplacingMergeTree(version)
PARTITION BY toYYYYMMDD(hour)
ORDER BY (experiment, hour, arm, bucket, action, source, slice_block, arrived_at)
TTL hour + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Cells: counts per source, slice, action, hour, experiment, arm and bucket of users. Read with FINAL';

CREATE TABLE IF NOT EXISTS ingest_starts{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    topic String COMMENT 'Kafka topic',
    topic_id UUID COMMENT 'UUID of the topic; a later topic with the same name has another one',
    partition UInt32 COMMENT 'Kafka partition',
    epoch UInt32 COMMENT 'Epoch: number of the rules; each rules apply uses the next one',
    start UInt64 COMMENT 'First offset under these rules; the lowest of a source and epoch counts',
    start_stream_time Int64 COMMENT 'Stream time of the source before start, Unix ms; 0 if nothing was read before',
    rules String COMMENT 'The counting rules, canonical JSON',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row'
)
ENGINE = {family}ReplacingMergeTree
ORDER BY (source, epoch, start)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Where counting of each source begins, one row for each epoch of the rules';

CREATE TABLE IF NOT EXISTS ingest_claims{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    epoch UInt32 COMMENT 'Epoch of the start row that is to be written',
    rules String COMMENT 'Its counting rules, canonical JSON. An epoch that is claimed for several rules is not used',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row'
)
ENGINE = {family}ReplacingMergeTree
ORDER BY (source, epoch, rules)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Claims of epochs for rules, written and read back before each start row, so that an epoch has one set of rules';

-- A flush reads the last rows of each source back: a granule of each source and part, so granules are small.
CREATE TABLE IF NOT EXISTS ingest_ledger{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    topic String COMMENT 'Kafka topic',
    topic_id UUID COMMENT 'UUID of the topic',
    partition UInt32 COMMENT 'Kafka partition',
    slice_block UInt32 COMMENT 'Slice, first half: offset // slice_records',
    arrived_at DateTime('UTC') COMMENT 'Slice, second half: stream time of the source, rounded down to ten minutes',
    start UInt64 COMMENT 'First offset of the slice',
    start_stream_time Int64 COMMENT 'Stream time of the source before start, Unix ms',
    position UInt64 COMMENT 'Next offset to fold; never beyond the end of the slice',
    stream_time Int64 COMMENT 'Stream time of the source at position, Unix ms',
    counted UInt64 COMMENT 'Records of the slice that were counted',
    duplicate UInt64 COMMENT 'Records whose event_id was seen before',
    late UInt64 COMMENT 'Records whose minute had closed',
    invalid UInt64 COMMENT 'Records that are not valid',
    gaps UInt64 COMMENT 'Offsets without a record',
    cells_sum UInt64 COMMENT 'Sum of events over the pin_minutes of the slice at position; equals counted',
    epoch UInt32 COMMENT 'Number of the rules',
    rules String COMMENT 'Fingerprint of the rules',
    sums Map(String, UInt64) COMMENT 'Check sums of the other aggregates that are counted in the slice, by table',
    version UInt64 COMMENT 'epoch x 2^48 + position; the highest is current',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row'
)
ENGINE = {family}ReplacingMergeTree(version)
ORDER BY (source, slice_block, arrived_at)
SETTINGS index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'The ledger: what is flushed, one row for each source and slice. Written after the cells that it covers. Read with FINAL';

-- Losses that an operator accepted.
CREATE TABLE IF NOT EXISTS ingest_lost{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    topic String COMMENT 'Kafka topic',
    topic_id UUID COMMENT 'UUID of the topic',
    partition UInt32 COMMENT 'Kafka partition',
    epoch UInt32 COMMENT 'Epoch that begins after the range; the row holds once that has a start row',
    kind Enum8('trimmed' = 1, 'truncated' = 2, 'retired' = 3, 'recounted' = 4, 'damaged' = 5) COMMENT 'trimmed: gone before it was counted; truncated: counted, gone, its counts taken back; retired: the topic was deleted, its counts stay; recounted: gone when all was counted anew; damaged: its rows are not what they were, and the log is gone',
    start UInt64 COMMENT 'First lost offset',
    `end` UInt64 COMMENT 'The offset after the last lost one',
    note String COMMENT 'Note of the operator',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row'
)
ENGINE = {family}ReplacingMergeTree
ORDER BY (source, epoch, start, `end`, kind)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Lost offsets, written by pintally accept-loss. Read with FINAL';

-- Replaced topics: what an operator said, and what was compared before.
CREATE TABLE IF NOT EXISTS ingest_replaced{on_cluster}
(
    source UInt64 COMMENT 'Source.id of the new partition, by the UUID of its topic in Kafka',
    topic String COMMENT 'New Kafka topic',
    topic_id UUID COMMENT 'Its UUID in Kafka',
    partition UInt32 COMMENT 'Kafka partition, of both topics',
    old_source UInt64 COMMENT 'Source.id of the replaced partition, as in cells and ledger rows',
    old_topic String COMMENT 'Replaced Kafka topic',
    old_topic_id UUID COMMENT 'Its UUID, as in start rows',
    how Enum8('same_offsets' = 1, 'copied' = 2, 'new_records' = 3) COMMENT 'same_offsets: a copy, counted on under old_source; copied: a copy with other offsets; new_records: from start on it holds what was never counted, an operator said',
    epoch UInt32 COMMENT 'Epoch that begins with it. The row holds at once for same_offsets, else once source has a start row of it',
    old_end UInt64 COMMENT 'Offset of the old log below which its counts stay',
    start UInt64 COMMENT 'Offset of the new log from which it is counted',
    collect_start UInt64 COMMENT 'Offset of the new log from which ids are collected, so that a record sent again is a duplicate',
    collect_stream_time Int64 COMMENT 'Stream time of the source before collect_start, Unix ms',
    evidence String COMMENT 'What was compared before',
    note String COMMENT 'Note of the operator',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row'
)
ENGINE = {family}ReplacingMergeTree
ORDER BY (source, old_source, epoch)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Replaced topics, one row for each partition, written by pintally replace-topic. Read with FINAL';

-- Dead letters have an epoch, like cells and ledger rows: the start rows alone decide which ones are superseded.
CREATE TABLE IF NOT EXISTS dead_letters{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    topic String COMMENT 'Kafka topic the record came from',
    topic_id UUID COMMENT 'UUID of the topic',
    partition UInt32 COMMENT 'Kafka partition',
    offset UInt64 COMMENT 'Kafka offset',
    timestamp Int64 COMMENT 'Kafka timestamp of the record, Unix ms; -1 if it has none',
    outcome Enum8('invalid' = 1, 'late' = 2) COMMENT 'Why it was not counted: invalid (not valid) or late',
    reason String COMMENT 'The reason, as text',
    key Nullable(String) COMMENT 'Original bytes; not always UTF-8',
    value Nullable(String) COMMENT 'Original bytes; NULL is a tombstone',
    headers Array(Tuple(name String, value Nullable(String))) COMMENT 'Original headers in order',
    epoch UInt32 COMMENT 'Epoch of the rules; of one record the highest is current',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row'
)
ENGINE = {family}ReplacingMergeTree
PRIMARY KEY (topic, topic_id, partition, offset)
ORDER BY (topic, topic_id, partition, offset, epoch)
TTL written_at + INTERVAL 30 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Late and invalid records with their original bytes, once for each record. Read with FINAL';

-- Roll-ups, and which of them count. Only sealing writes them; a row counts only if sealed has its seal number.

-- The top pins of an hour are found by reading all of it, and decoding is most of that: LZ4 takes a sixth off, for two
-- bytes a row.
CREATE TABLE IF NOT EXISTS pin_hours{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the hour' CODEC(Delta, ZSTD(1)),
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, LZ4),
    {column} UInt64 COMMENT '{Heading} in the hour' CODEC(T64, LZ4),
    trusted_{column} UInt64 COMMENT 'Trusted {heading} in the hour' CODEC(T64, LZ4),
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(Delta, ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMMDD(window_start)
ORDER BY (window_start, pin_id)
TTL window_start + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Counts per pin and hour, by time. Only rows whose seal is in sealed count: read pin_engagement_1h';

-- The table is by pin, and a month of it one partition: without the projection the top pins of one day cost the reading
-- of them all. Projections have no codecs.
CREATE TABLE IF NOT EXISTS pin_days{on_cluster}
(
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, ZSTD(1)),
    window_start DateTime('UTC') COMMENT 'Start of the day, UTC' CODEC(Delta, ZSTD(1)),
    {column} UInt64 COMMENT '{Heading} in the day' CODEC(T64, ZSTD(1)),
    trusted_{column} UInt64 COMMENT 'Trusted {heading} in the day' CODEC(T64, ZSTD(1)),
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(T64, ZSTD(1)),
    PROJECTION by_day (SELECT * ORDER BY window_start, pin_id)
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMM(window_start)
ORDER BY (pin_id, window_start)
TTL window_start + INTERVAL 730 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Counts per pin and day, by pin. Only rows whose seal is in sealed count: read pin_engagement_1d';

-- Both by pin: the question is what one pin did where. The sums over the labels of either dimension are those of
-- pin_hours and pin_days. An hour that was just inserted is a part of its own, so that sealing finds it by its time.
CREATE TABLE IF NOT EXISTS pin_hour_breakdowns{on_cluster}
(
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, ZSTD(1)),
    window_start DateTime('UTC') COMMENT 'Start of the hour' CODEC(Delta, ZSTD(1)),
    dimension Enum8('surface' = 1, 'platform' = 2) COMMENT 'Whether label is a surface or a platform' CODEC(ZSTD(1)),
    label LowCardinality(String) COMMENT 'The surface or platform; unknown and other as in pin_minutes' CODEC(ZSTD(1)),
    {column} UInt64 COMMENT '{Heading} in the hour' CODEC(T64, ZSTD(1)),
    trusted_{column} UInt64 COMMENT 'Trusted {heading} in the hour' CODEC(T64, ZSTD(1)),
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(T64, ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMMDD(window_start)
ORDER BY (pin_id, window_start, dimension, label)
TTL window_start + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Counts per pin and hour by surface, and by platform. Only rows whose seal is in sealed count: read pin_breakdown_1h';

CREATE TABLE IF NOT EXISTS pin_day_breakdowns{on_cluster}
(
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, ZSTD(1)),
    window_start DateTime('UTC') COMMENT 'Start of the day, UTC' CODEC(Delta, ZSTD(1)),
    dimension Enum8('surface' = 1, 'platform' = 2) COMMENT 'Whether label is a surface or a platform' CODEC(ZSTD(1)),
    label LowCardinality(String) COMMENT 'The surface or platform; unknown and other as in pin_minutes' CODEC(ZSTD(1)),
    {column} UInt64 COMMENT '{Heading} in the day' CODEC(T64, ZSTD(1)),
    trusted_{column} UInt64 COMMENT 'Trusted {heading} in the day' CODEC(T64, ZSTD(1)),
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(T64, ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMM(window_start)
ORDER BY (pin_id, window_start, dimension, label)
TTL window_start + INTERVAL 730 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Counts per pin and day by surface, and by platform. Only rows whose seal is in sealed count: read pin_breakdown_1d';

-- A row for each bucket: of a week, an arm has at most 43,008, however many slices its cells are of.
CREATE TABLE IF NOT EXISTS experiment_hours{on_cluster}
(
    experiment LowCardinality(String) COMMENT 'The experiment; other, with the arm other, after 256 arms in a slice',
    window_start DateTime('UTC') COMMENT 'Start of the hour' CODEC(Delta, ZSTD(1)),
    arm LowCardinality(String) COMMENT 'Its arm',
    bucket UInt8 COMMENT 'Of the user: intHash64(user_id) % 256',
    {column} UInt64 COMMENT '{Heading} in the hour' CODEC(T64, LZ4),
    trusted_{column} UInt64 COMMENT 'Trusted {heading} in the hour' CODEC(T64, LZ4),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(Delta, ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMMDD(window_start)
ORDER BY (experiment, window_start, arm, bucket)
TTL window_start + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Counts per arm of an experiment, hour and bucket of users. Only rows whose seal is in sealed count: read experiment_results';

CREATE TABLE IF NOT EXISTS seal_numbers{on_cluster}
(
    seal UInt64 COMMENT 'Seal number, allocated before the minutes are read; each is used once',
    taken_by UUID COMMENT 'Who allocated it',
    taken_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When it was allocated, for information only'
)
ENGINE = {family}MergeTree
ORDER BY seal
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Seal numbers: a number that is allocated later is higher';

CREATE TABLE IF NOT EXISTS sealed{on_cluster}
(
    resolution Enum8('hour' = 1, 'day' = 2) COMMENT 'Which roll-up',
    window_start DateTime('UTC') COMMENT 'Start of the hour or day',
    seal UInt64 COMMENT 'Seal number; of a window the row with the highest one holds',
    is_open Bool COMMENT 'true: readers take its minutes until it is sealed again; false: they take its roll-up with this seal',
    corrected Bool COMMENT 'true: its counts changed after it was first sealed',
    pins UInt64 COMMENT 'Pins in the roll-up',
    {column} UInt64 COMMENT 'Sum of {heading} in the roll-up',
    trusted_{column} UInt64 COMMENT 'Sum of trusted {heading} in the roll-up',
    breakdown_sum UInt64 COMMENT 'Check sum of its breakdowns: of a hash of pin, action, dimension and label, times counts; 0: no cell names a label, and there are no rows of breakdowns',
    experiment_sum UInt64 COMMENT 'Check sum of its arms of experiments: of a hash of experiment, arm, action and bucket, times counts; 0: no arm was counted. Of a day 0',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row'
)
ENGINE = {family}ReplacingMergeTree(seal)
ORDER BY (resolution, window_start)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Sealed hours and days, with their seal numbers. Read with FINAL, or through seal_state';
