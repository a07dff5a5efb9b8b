-- Topics that took the place of others: what an operator said, and what was compared before.

CREATE TABLE IF NOT EXISTS ingest_replaced
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
ENGINE = ReplacingMergeTree
ORDER BY (source, old_source, epoch)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Topics that took the place of others, one row a partition, written by pintally replace-topic. Read with FINAL';

ALTER TABLE ingest_lost
    MODIFY COMMENT 'Offsets that are not counted and never will be, written by pintally accept-loss. Read with FINAL';
