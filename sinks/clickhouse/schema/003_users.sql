-- Who acted on a pin, by a hash that only who has PINTALLY_USER_KEY can make of a user. These rows are of persons:
-- readers have no right to them, and they are kept for some days only (PINTALLY_MEMBER_DAYS, applied by pintally migrate).

CREATE TABLE IF NOT EXISTS pin_members{on_cluster}
(
    source UInt64 COMMENT 'Source.id' CODEC(ZSTD(1)),
    slice_block UInt32 COMMENT 'Slice, first half: offset // slice_records' CODEC(ZSTD(1)),
    arrived_at DateTime('UTC') COMMENT 'Slice, second half: stream time of the source, rounded down to ten minutes' CODEC(ZSTD(1)),
    action UInt8 COMMENT 'Number of the action' CODEC(ZSTD(1)),
    hour DateTime('UTC') COMMENT 'Start of the event-time window [hour, hour + 1 h)' CODEC(ZSTD(1)),
    pin_id UInt64 COMMENT 'The pin' CODEC(ZSTD(1)),
    surface LowCardinality(String) COMMENT 'Surface of the events, as in pin_minutes',
    user_key UInt32 COMMENT 'Id of the key of the hash' CODEC(ZSTD(1)),
    user_hash UInt64 COMMENT 'SipHash-2-4 of the user with that key' CODEC(LZ4),
    events UInt64 COMMENT 'Counted events of this slice below the position in version; an absolute count' CODEC(T64, ZSTD(1)),
    version UInt64 COMMENT 'epoch x 2^48 + position; the highest is current' CODEC(ZSTD(1))
)
ENGINE = {family}ReplacingMergeTree(version)
PARTITION BY toYYYYMMDD(hour)
ORDER BY (hour, pin_id, action, surface, user_key, user_hash, source, slice_block, arrived_at)
TTL hour + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Members: hashes of users per source, slice, action, hour, pin and surface. Read with FINAL'
