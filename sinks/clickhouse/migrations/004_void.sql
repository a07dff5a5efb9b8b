-- Rows of a lower generation in slices from a boundary on are void: an old worker's late insert after `rules apply`.
-- Sealing and `rules apply` delete them; what these views show must be empty.

CREATE VIEW IF NOT EXISTS void_slices
(
    source UInt64 COMMENT 'Source.id',
    generation UInt32 COMMENT 'Rows of this generation are void ...',
    start UInt64 COMMENT '... in slices that start at this offset or later,',
    block UInt64 COMMENT 'that is, from this block on,',
    arrived DateTime('UTC') COMMENT 'in the first block from this arrived on'
)
AS
SELECT source, pair.1.1 AS generation, pair.2.2 AS start, intDiv(start, slice_records) AS block,
    if(start % slice_records = 0, toDateTime(0, 'UTC'), toDateTime(intDiv(pair.2.3, 600000) * 600 + 600, 'UTC')) AS arrived
FROM
(
    SELECT source, arrayJoin(arrayZip(arrayPopBack(starts), arrayPopFront(starts))) AS pair,
        JSONExtractUInt(pair.1.4, 'slice_records') AS slice_records
    FROM
    (
        SELECT source, arraySort(groupArray((generation, lowest.1, lowest.2, lowest.3))) AS starts
        FROM
        (
            SELECT source, generation, min((start, start_clock, rules)) AS lowest
            FROM ingest_starts
            GROUP BY source, generation
        )
        GROUP BY source
        HAVING length(starts) > 1
    )
)
COMMENT 'Boundaries that rules apply has set: one row a source and generation that has a successor';

CREATE VIEW IF NOT EXISTS void_cells
(
    hour DateTime('UTC') COMMENT 'Start of the hour of minute',
    source UInt64 COMMENT 'Source.id',
    generation UInt32 COMMENT 'Generation of the row',
    block UInt32 COMMENT 'Slice, first half',
    arrived DateTime('UTC') COMMENT 'Slice, second half',
    action UInt8 COMMENT '1 save, 2 click, 3 close-up',
    minute DateTime('UTC') COMMENT 'Start of the minute',
    pin_id UInt64 COMMENT 'The pin',
    events UInt64 COMMENT 'Events of the row',
    version UInt64 COMMENT 'Version of the row'
)
AS SELECT m.hour AS hour, m.source AS source, v.generation AS generation, m.block AS block, m.arrived AS arrived,
    m.action AS action, m.minute AS minute, m.pin_id AS pin_id, m.events AS events, m.version AS version
FROM pin_minutes AS m
INNER JOIN void_slices AS v ON m.source = v.source AND toUInt32(bitShiftRight(m.version, 48)) = v.generation
WHERE m.block > v.block OR (m.block = v.block AND m.arrived >= v.arrived)
COMMENT 'Cells that must not be counted; empty when all is well';

CREATE VIEW IF NOT EXISTS void_ledger
(
    source UInt64 COMMENT 'Source.id',
    generation UInt32 COMMENT 'Generation of the row',
    block UInt32 COMMENT 'Slice, first half',
    arrived DateTime('UTC') COMMENT 'Slice, second half',
    start UInt64 COMMENT 'First offset of the slice',
    position UInt64 COMMENT 'Position of the row'
)
AS SELECT l.source AS source, l.generation AS generation, l.block AS block, l.arrived AS arrived, l.start AS start,
    l.position AS position
FROM ingest_ledger AS l
INNER JOIN void_slices AS v ON l.source = v.source AND l.generation = v.generation
WHERE l.start >= v.start
COMMENT 'Ledger rows that vouch for nothing; empty when all is well';
