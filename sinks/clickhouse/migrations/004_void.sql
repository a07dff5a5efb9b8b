-- Rows of a lower epoch in slices from a boundary on are superseded: an old worker's late insert after `rules apply`.
-- Sealing and `rules apply` delete them; what these views show must be empty.

CREATE VIEW IF NOT EXISTS superseded_slices
(
    source UInt64 COMMENT 'Source.id',
    epoch UInt32 COMMENT 'Rows of this epoch are superseded ...',
    start UInt64 COMMENT '... in slices that start at this offset or later,',
    slice_block UInt64 COMMENT 'that is, from this block on,',
    arrived_at DateTime('UTC') COMMENT 'in the first block from this arrived_at on'
)
AS
SELECT source, pair.1.1 AS epoch, pair.2.2 AS start, intDiv(start, slice_records) AS slice_block,
    if(start % slice_records = 0, toDateTime(0, 'UTC'), toDateTime(intDiv(pair.2.3, 600000) * 600 + 600, 'UTC')) AS arrived_at
FROM
(
    SELECT source, arrayJoin(arrayZip(arrayPopBack(starts), arrayPopFront(starts))) AS pair,
        JSONExtractUInt(pair.1.4, 'slice_records') AS slice_records
    FROM
    (
        SELECT source, arraySort(groupArray((epoch, lowest.1, lowest.2, lowest.3))) AS starts
        FROM
        (
            SELECT source, epoch, min((start, start_stream_time, rules)) AS lowest
            FROM ingest_starts
            GROUP BY source, epoch
        )
        GROUP BY source
        HAVING length(starts) > 1
    )
)
COMMENT 'Boundaries that rules apply has set: one row a source and epoch that has a successor';

CREATE VIEW IF NOT EXISTS superseded_cells
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
WHERE m.slice_block > v.slice_block OR (m.slice_block = v.slice_block AND m.arrived_at >= v.arrived_at)
COMMENT 'Cells that must not be counted; empty when all is well';

CREATE VIEW IF NOT EXISTS superseded_ledger
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
COMMENT 'Ledger rows that vouch for nothing; empty when all is well';
