-- What an operator gave up for good, and superseded rows as they are where a boundary may lie below an earlier one, or inside a
-- slice.

CREATE TABLE IF NOT EXISTS ingest_lost
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
ENGINE = ReplacingMergeTree
ORDER BY (source, epoch, start, `end`, kind)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Offsets that are not counted and never will be, written by pintally lost. Read with FINAL';

CREATE OR REPLACE VIEW superseded_slices
(
    source UInt64 COMMENT 'Source.id',
    epoch UInt32 COMMENT 'Rows of this epoch are superseded ...',
    start UInt64 COMMENT '... in slices that start at this offset or later,',
    slice_block UInt64 COMMENT 'that is, from this block on,',
    arrived_at DateTime('UTC') COMMENT 'in the first block from this arrived_at on;',
    inside UInt8 COMMENT '1: start lies inside a slice, and superseded is what has a version beyond it'
)
AS
SELECT source, epoch, lowest.1 AS start,
    if(start <= begun, 0, intDiv(start, slice_records)) AS slice_block,
    if(start <= begun OR start % slice_records = 0, toDateTime(0, 'UTC'),
        toDateTime(intDiv(lowest.3, 600000) * 600 + 600, 'UTC')) AS arrived_at,
    lowest.2 = 0 AND start > begun AS inside
FROM
(
    SELECT own.source AS source, own.epoch AS epoch, own.first.1 AS begun,
        JSONExtractUInt(own.first.3, 'slice_records') AS slice_records,
        min((above.first.1, above.between_slices, above.first.2)) AS lowest
    FROM
    (
        SELECT source, epoch, min((start, start_stream_time, rules)) AS first
        FROM ingest_starts
        GROUP BY source, epoch
    ) AS own
    INNER JOIN
    (
        SELECT source, epoch, min((start, start_stream_time)) AS first,
            (source, epoch, first.1) NOT IN
                (SELECT source, epoch, `end` FROM ingest_lost WHERE kind = 'trimmed') AS between_slices
        FROM ingest_starts
        GROUP BY source, epoch
    ) AS above ON own.source = above.source
    WHERE above.epoch > own.epoch
    GROUP BY source, epoch, begun, slice_records
)
COMMENT 'Boundaries that rules apply or lost has set: one row a source and epoch that has a successor';

CREATE OR REPLACE VIEW superseded_cells
(
    hour DateTime('UTC') COMMENT 'Start of the hour of minute',
    source UInt64 COMMENT 'Source.id',
    epoch UInt32 COMMENT 'Epoch of the row',
    slice_block UInt32 COMMENT 'Slice, first half',
    arrived_at DateTime('UTC') COMMENT 'Slice, second half',
    action UInt8 COMMENT '1 save, 2 click, 3 close-up',
    minute DateTime('UTC') COMMENT 'Start of the minute',
    pin_id UInt64 COMMENT 'The pin',
    events UInt64 COMMENT 'Events of the row',
    version UInt64 COMMENT 'Version of the row'
)
AS SELECT m.hour AS hour, m.source AS source, v.epoch AS epoch, m.slice_block AS slice_block, m.arrived_at AS arrived_at,
    m.action AS action, m.minute AS minute, m.pin_id AS pin_id, m.events AS events, m.version AS version
FROM pin_minutes AS m
INNER JOIN superseded_slices AS v ON m.source = v.source AND toUInt32(bitShiftRight(m.version, 48)) = v.epoch
WHERE if(v.inside, bitAnd(m.version, 281474976710655) > v.start,
    m.slice_block > v.slice_block OR (m.slice_block = v.slice_block AND m.arrived_at >= v.arrived_at))
COMMENT 'Cells that must not be counted; empty when all is well';
