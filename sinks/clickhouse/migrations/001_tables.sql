-- Tables that workers write. Every statement can be repeated, also by several workers at once.
-- The sort key begins with an expression of minute, so that a condition on minute and one on hour both find their rows.
-- The ledger vouches for pin_minutes, so all of these are written with fsync: it must not outlive its rows.

CREATE TABLE IF NOT EXISTS pin_minutes
(
    source UInt64 COMMENT 'Source.id: 8 bytes of blake2b over topic, topic UUID and partition',
    slice_block UInt32 COMMENT 'Slice, first half: offset // slice_records',
    arrived_at DateTime('UTC') COMMENT 'Slice, second half: stream time of the source, floored to ten minutes',
    action UInt8 COMMENT '1 save, 2 click, 3 close-up',
    minute DateTime('UTC') COMMENT 'Start of the event-time window [minute, minute + 60 s)',
    pin_id UInt64 COMMENT 'The pin',
    events UInt64 COMMENT 'Counted events of this slice below the position in version; an absolute count',
    version UInt64 COMMENT 'epoch x 2^48 + position; the highest wins',
    hour DateTime('UTC') ALIAS toStartOfHour(minute) COMMENT 'Start of the hour of minute; not stored',
    updated_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse took this row' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMMDD(minute)
ORDER BY (toStartOfHour(minute), pin_id, toMinute(minute), action, source, slice_block, arrived_at)
TTL toStartOfHour(minute) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Cells: counts a source, slice, action, minute and pin. Read with FINAL, or through pin_engagement_1m';

CREATE TABLE IF NOT EXISTS ingest_starts
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
ENGINE = ReplacingMergeTree
ORDER BY (source, epoch, start)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Where each source begins to be counted, one row an epoch of the rules';

CREATE TABLE IF NOT EXISTS ingest_ledger
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
    cells_sum UInt64 COMMENT 'Sum of events over the cells of the slice at position; equals counted',
    epoch UInt32 COMMENT 'Number of the rules',
    rules String COMMENT 'Fingerprint of the rules',
    version UInt64 COMMENT 'epoch x 2^48 + position; the highest wins',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse took this row'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (source, slice_block, arrived_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'What is flushed: one row a source and slice. Written after the cells it vouches for. Read with FINAL';

CREATE TABLE IF NOT EXISTS dead_letters
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
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse took this row'
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, topic_id, partition, offset)
TTL written_at + INTERVAL 30 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Late and invalid records with their original bytes, unique by origin. Read with FINAL';
