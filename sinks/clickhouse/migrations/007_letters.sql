-- Dead letters have the epoch of the rules that said so, as cells and ledger rows have: what is superseded among them
-- follows from the start rows alone. Stop workers of an older version first: what they write would be of epoch 0.

ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS epoch UInt32 COMMENT 'Number of the rules that said so; of one origin the highest holds',
    MODIFY ORDER BY (topic, topic_id, partition, offset, epoch);

-- Letters from before are of the rules that hold where they are; their rows of epoch 0 are superseded then.
INSERT INTO dead_letters
    (source, topic, topic_id, partition, offset, timestamp, outcome, reason, key, value, headers, written_at, epoch)
SELECT l.source, l.topic, l.topic_id, l.partition, l.offset, l.timestamp, l.outcome, l.reason, l.key, l.value, l.headers,
    l.written_at, arrayMax(b -> if(l.offset >= b.2, b.1, 0), s.boundaries) AS rules
FROM dead_letters AS l FINAL
INNER JOIN
    (SELECT source, groupArray((epoch, start)) AS boundaries FROM ingest_starts WHERE epoch > 0 GROUP BY source)
    AS s ON l.source = s.source
WHERE l.epoch = 0 AND rules > 0;

CREATE VIEW IF NOT EXISTS superseded_letters
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
COMMENT 'Dead letters that rules say no more; empty when all is well';
