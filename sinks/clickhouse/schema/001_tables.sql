-- All tables. Created once: CREATE does nothing where a table is there, and pintally migrate refuses a database that an
-- older version of this file made. A line with {column} stands once for each action of schemas/actions.py; columns of
-- actions that come later are added to the tables that are there. {family} is the family of engines, none for one server.
--
-- The ledger vouches for pin_minutes, so all of these are written with fsync: it must not outlive its rows.

-- The sort key begins with an expression of minute, so that a condition on minute and one on hour both find their rows.
-- A query for one pin wants a granule an hour and part, and of each column but pin_id a few rows: blocks of a granule, not
-- of up to eight, save a tenth of its CPU and cost 0.1% of disk.
CREATE TABLE IF NOT EXISTS pin_minutes{on_cluster}
(
    source UInt64 COMMENT 'Source.id: 8 bytes of blake2b over topic, topic UUID and partition',
    slice_block UInt32 COMMENT 'Slice, first half: offset // slice_records',
    arrived_at DateTime('UTC') COMMENT 'Slice, second half: stream time of the source, floored to ten minutes',
    action UInt8 COMMENT 'Number of the action; minutes_read says which',
    minute DateTime('UTC') COMMENT 'Start of the event-time window [minute, minute + 60 s)',
    pin_id UInt64 COMMENT 'The pin',
    events UInt64 COMMENT 'Counted events of this slice below the position in version; an absolute count',
    version UInt64 COMMENT 'epoch x 2^48 + position; the highest wins',
    hour DateTime('UTC') ALIAS toStartOfHour(minute) COMMENT 'Start of the hour of minute; not stored',
    updated_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse took this row' CODEC(Delta, ZSTD(1))
)
ENGINE = {family}ReplacingMergeTree(version)
PARTITION BY toYYYYMMDD(minute)
ORDER BY (toStartOfHour(minute), pin_id, toMinute(minute), action, source, slice_block, arrived_at)
TTL toStartOfHour(minute) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1, min_compress_block_size = 8192
COMMENT 'Cells: counts a source, slice, action, minute and pin. Read with FINAL, or through pin_engagement_1m';

CREATE TABLE IF NOT EXISTS ingest_starts{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    topic String COMMENT 'Kafka topic',
    topic_id UUID COMMENT 'UUID of the topic, tells it from a namesake created later',
    partition UInt32 COMMENT 'Kafka partition',
    epoch UInt32 COMMENT 'Number of the rules; each rules apply takes the next',
    start UInt64 COMMENT 'First offset under these rules; the lowest of a source and epoch counts',
    start_stream_time Int64 COMMENT 'Stream time of the source before start, Unix ms; 0 where nothing was read before',
    rules String COMMENT 'The counting rules, canonical JSON',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse took this row'
)
ENGINE = {family}ReplacingMergeTree
ORDER BY (source, epoch, start)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Where each source begins to be counted, one row an epoch of the rules';

CREATE TABLE IF NOT EXISTS ingest_ledger{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    topic String COMMENT 'Kafka topic',
    topic_id UUID COMMENT 'UUID of the topic',
    partition UInt32 COMMENT 'Kafka partition',
    slice_block UInt32 COMMENT 'Slice, first half: offset // slice_records',
    arrived_at DateTime('UTC') COMMENT 'Slice, second half: stream time of the source, floored to ten minutes',
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
    version UInt64 COMMENT 'epoch x 2^48 + position; the highest wins',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse took this row'
)
ENGINE = {family}ReplacingMergeTree(version)
ORDER BY (source, slice_block, arrived_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What is flushed: one row a source and slice. Written after the cells it vouches for. Read with FINAL';

-- What an operator gave up for good.
CREATE TABLE IF NOT EXISTS ingest_lost{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    topic String COMMENT 'Kafka topic',
    topic_id UUID COMMENT 'UUID of the topic',
    partition UInt32 COMMENT 'Kafka partition',
    epoch UInt32 COMMENT 'Epoch that begins after the range; the row holds once that has a start row',
    kind Enum8('trimmed' = 1, 'truncated' = 2, 'retired' = 3, 'recounted' = 4, 'damaged' = 5) COMMENT 'trimmed: gone before it was counted; truncated: counted, gone, its counts taken back; retired: the topic was deleted, its counts stay; recounted: gone when all was counted anew; damaged: its rows are not what they were, and the log is gone',
    start UInt64 COMMENT 'First offset given up',
    `end` UInt64 COMMENT 'The offset after the last one given up',
    note String COMMENT 'The words of the operator who gave it up',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse took this row'
)
ENGINE = {family}ReplacingMergeTree
ORDER BY (source, epoch, start, `end`, kind)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Offsets that are not counted and never will be, written by pintally accept-loss. Read with FINAL';

-- Topics that took the place of others: what an operator said, and what was compared before.
CREATE TABLE IF NOT EXISTS ingest_replaced{on_cluster}
(
    source UInt64 COMMENT 'Source.id of the partition that takes the place, by the UUID that Kafka has for its topic',
    topic String COMMENT 'Kafka topic that takes the place',
    topic_id UUID COMMENT 'Its UUID in Kafka',
    partition UInt32 COMMENT 'Kafka partition, of both topics',
    old_source UInt64 COMMENT 'Source.id of the partition whose place is taken, as cells and ledger rows have it',
    old_topic String COMMENT 'Kafka topic whose place is taken',
    old_topic_id UUID COMMENT 'Its UUID, as start rows have it',
    how Enum8('same_offsets' = 1, 'copied' = 2, 'new_records' = 3) COMMENT 'same_offsets: a copy, counted on under old_source; copied: a copy with other offsets; new_records: from start on it holds what was never counted, an operator said',
    epoch UInt32 COMMENT 'Epoch that begins with it. The row holds at once for same_offsets, else once source has a start row of it',
    old_end UInt64 COMMENT 'Offset of the old log below which its counts stay',
    start UInt64 COMMENT 'Offset of the new log from which it is counted',
    collect_start UInt64 COMMENT 'Offset of the new log from which ids are collected, so that a record sent again is a duplicate',
    collect_stream_time Int64 COMMENT 'Stream time of the source before collect_start, Unix ms',
    evidence String COMMENT 'What was compared before, in words',
    note String COMMENT 'The words of the operator who said it',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse took this row'
)
ENGINE = {family}ReplacingMergeTree
ORDER BY (source, old_source, epoch)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Topics that took the place of others, one row a partition, written by pintally replace-topic. Read with FINAL';

-- Letters have the epoch of the rules that said so, as cells and ledger rows have: what is superseded among them follows
-- from the start rows alone.
CREATE TABLE IF NOT EXISTS dead_letters{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    topic String COMMENT 'Kafka topic the record came from',
    topic_id UUID COMMENT 'UUID of the topic',
    partition UInt32 COMMENT 'Kafka partition',
    offset UInt64 COMMENT 'Kafka offset',
    timestamp Int64 COMMENT 'Kafka timestamp of the record, Unix ms; -1 if it has none',
    outcome Enum8('invalid' = 1, 'late' = 2) COMMENT 'Why it was not counted: invalid (not valid) or late',
    reason String COMMENT 'The reason in words',
    key Nullable(String) COMMENT 'Original bytes; not always UTF-8',
    value Nullable(String) COMMENT 'Original bytes; NULL is a tombstone',
    headers Array(Tuple(name String, value Nullable(String))) COMMENT 'Original headers in order',
    epoch UInt32 COMMENT 'Number of the rules that said so; of one origin the highest holds',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse took this row'
)
ENGINE = {family}ReplacingMergeTree
PRIMARY KEY (topic, topic_id, partition, offset)
ORDER BY (topic, topic_id, partition, offset, epoch)
TTL written_at + INTERVAL 30 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Late and invalid records with their original bytes, unique by origin. Read with FINAL';

-- Roll-ups and what says which of them count. Written by sealing alone; a row counts only while sealed names its seal.

-- The top pins of an hour are found by reading all of it, and decoding is most of that: LZ4 takes a sixth off, for two
-- bytes a row.
CREATE TABLE IF NOT EXISTS pin_hours{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the hour' CODEC(Delta, ZSTD(1)),
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, LZ4),
    {column} UInt64 COMMENT '{Heading} in the hour' CODEC(T64, LZ4),
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(Delta, ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMMDD(window_start)
ORDER BY (window_start, pin_id)
TTL window_start + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Counts a pin and hour, by time. Only rows whose seal is named by sealed count: read pin_engagement_1h';

-- The table is by pin, and a month of it one partition: without the projection the top pins of one day cost the reading
-- of them all. Projections have no codecs.
CREATE TABLE IF NOT EXISTS pin_days{on_cluster}
(
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, ZSTD(1)),
    window_start DateTime('UTC') COMMENT 'Start of the day, UTC' CODEC(Delta, ZSTD(1)),
    {column} UInt64 COMMENT '{Heading} in the day' CODEC(T64, ZSTD(1)),
    updated_at DateTime('UTC') COMMENT 'Highest updated_at of its minutes' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(T64, ZSTD(1)),
    PROJECTION by_day (SELECT * ORDER BY window_start, pin_id)
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMM(window_start)
ORDER BY (pin_id, window_start)
TTL window_start + INTERVAL 730 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Counts a pin and day, by pin. Only rows whose seal is named by sealed count: read pin_engagement_1d';

CREATE TABLE IF NOT EXISTS seal_numbers{on_cluster}
(
    seal UInt64 COMMENT 'A number taken before the minutes were read; each is taken once',
    taken_by UUID COMMENT 'Who took it',
    taken_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When it was taken, for people only'
)
ENGINE = {family}MergeTree
ORDER BY seal
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Numbers of sealings: who takes one later has the higher one';

CREATE TABLE IF NOT EXISTS sealed{on_cluster}
(
    resolution Enum8('hour' = 1, 'day' = 2) COMMENT 'Which roll-up',
    window_start DateTime('UTC') COMMENT 'Start of the hour or day',
    seal UInt64 COMMENT 'The highest seal of a window says what holds',
    is_open Bool COMMENT 'true: read its minutes (it awaits correction); false: read its roll-up with this seal',
    corrected Bool COMMENT 'true: its counts changed after it was first sealed',
    pins UInt64 COMMENT 'Pins in the roll-up',
    {column} UInt64 COMMENT 'Sum of {heading} in the roll-up',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse took this row'
)
ENGINE = {family}ReplacingMergeTree(seal)
ORDER BY (resolution, window_start)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Which hours and days are sealed, by which seal. Read with FINAL, or through seal_state';
