-- The same counts, read sooner. No row changes, and every statement can be repeated.

-- FINAL looks for versions of a row in every partition, unless ClickHouse sees in the sort key what partitions are made of.
-- It does not see that here: `minute` is only in expressions of the key, which between them tell all of it. So each query
-- searched the indices of all 90 days: with 270 parts one pin's last day cost twice as much. The setting says that versions
-- of a row are in one partition.
CREATE OR REPLACE VIEW minutes_read
(
    hour DateTime('UTC') COMMENT 'Start of the hour',
    minute DateTime('UTC') COMMENT 'Start of the minute',
    pin_id UInt64 COMMENT 'The pin',
    action UInt8 COMMENT '1 save, 2 click, 3 close-up',
    events UInt64 COMMENT 'Counted events',
    updated_at DateTime('UTC') COMMENT 'When ClickHouse took the row'
)
AS SELECT hour, minute, pin_id, action, events, updated_at
FROM pin_minutes FINAL
WHERE hour >= toStartOfDay(now('UTC')) - INTERVAL 89 DAY
SETTINGS optimize_move_to_prewhere_if_final = 1, do_not_merge_across_partitions_select_final = 1
COMMENT 'Part of the pin_engagement views: cells, one a key';
