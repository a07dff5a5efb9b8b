-- Rows of a lower epoch in slices from an epoch start on are superseded, for example after a late insert of an old worker.
-- An epoch start may be below an earlier one, or inside a slice. Sealing and rules apply delete such rows; the last three
-- views must be empty. Each pintally migrate replaces these views; readers have no right to them.

CREATE OR REPLACE VIEW superseded_slices{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    epoch UInt32 COMMENT 'Rows of this epoch are superseded ...',
    start UInt64 COMMENT '... in slices that start at this offset or later,',
    slice_block UInt64 COMMENT 'that is, from this block on,',
    arrived_at DateTime('UTC') COMMENT 'in the first block from this arrived_at on;',
    inside UInt8 COMMENT '1: start is inside a slice; rows with a version beyond it are superseded'
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
) AS these
COMMENT 'Epoch starts that end an earlier epoch: one row for each source and earlier epoch';

CREATE OR REPLACE VIEW superseded_cells{on_cluster}
(
    table LowCardinality(String) COMMENT 'The table of cells that has the row',
    hour DateTime('UTC') COMMENT 'Start of the hour of window_start',
    source UInt64 COMMENT 'Source.id',
    epoch UInt32 COMMENT 'Epoch of the row',
    slice_block UInt32 COMMENT 'Slice, first half',
    arrived_at DateTime('UTC') COMMENT 'Slice, second half',
    action UInt8 COMMENT '{actions}',
    window_start DateTime('UTC') COMMENT 'Start of the minute, or of the hour in tables of hours',
    pin_id UInt64 COMMENT 'The pin; 0 in tables that have none',
    events UInt64 COMMENT 'Events of the row',
    version UInt64 COMMENT 'Version of the row'
)
AS
{superseded_cells}
COMMENT 'Superseded rows of all tables of cells, which do not count; normally empty';

CREATE OR REPLACE VIEW superseded_ledger{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    epoch UInt32 COMMENT 'Epoch of the row',
    slice_block UInt32 COMMENT 'Slice, first half',
    arrived_at DateTime('UTC') COMMENT 'Slice, second half',
    start UInt64 COMMENT 'First offset of the slice',
    position UInt64 COMMENT 'Position of the row'
)
AS SELECT l.source AS source, l.epoch AS epoch, l.slice_block AS slice_block, l.arrived_at AS arrived_at, l.start AS start,
    l.position AS position
FROM ingest_ledger AS l
INNER JOIN superseded_slices AS v ON l.source = v.source AND l.epoch = v.epoch
WHERE l.start >= v.start
COMMENT 'Superseded ledger rows; normally empty';

CREATE OR REPLACE VIEW superseded_letters{on_cluster}
(
    source UInt64 COMMENT 'Source.id',
    topic String COMMENT 'Kafka topic',
    topic_id UUID COMMENT 'UUID of the topic',
    partition UInt32 COMMENT 'Kafka partition',
    offset UInt64 COMMENT 'Kafka offset',
    epoch UInt32 COMMENT 'Epoch of the row'
)
AS SELECT l.source AS source, l.topic AS topic, l.topic_id AS topic_id, l.partition AS partition, l.offset AS offset,
    l.epoch AS epoch
FROM dead_letters AS l
INNER JOIN
    (SELECT source, groupArray((epoch, start)) AS boundaries FROM ingest_starts WHERE epoch > 0 GROUP BY source)
    AS s ON l.source = s.source
WHERE arrayExists(b -> b.1 > l.epoch AND l.offset >= b.2, s.boundaries)
COMMENT 'Superseded dead letters; normally empty';
