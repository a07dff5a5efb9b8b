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
    trusted UInt64 COMMENT 'Of events, those that are among the first of their user, pin and action in the slice; an absolute count' CODEC(T64, ZSTD(1)),
    version UInt64 COMMENT 'epoch x 2^48 + position; the highest is current' CODEC(ZSTD(1))
)
ENGINE = {family}ReplacingMergeTree(version)
PARTITION BY toYYYYMMDD(hour)
ORDER BY (hour, pin_id, action, surface, user_key, user_hash, source, slice_block, arrived_at)
TTL hour + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Members: hashes of users per source, slice, action, hour, pin and surface. Read with FINAL';

-- Who acted in an arm of an experiment, in the same way. People ask for one experiment.
CREATE TABLE IF NOT EXISTS arm_members{on_cluster}
(
    source UInt64 COMMENT 'Source.id' CODEC(ZSTD(1)),
    slice_block UInt32 COMMENT 'Slice, first half: offset // slice_records' CODEC(ZSTD(1)),
    arrived_at DateTime('UTC') COMMENT 'Slice, second half: stream time of the source, rounded down to ten minutes' CODEC(ZSTD(1)),
    action UInt8 COMMENT 'Number of the action' CODEC(ZSTD(1)),
    hour DateTime('UTC') COMMENT 'Start of the event-time window [hour, hour + 1 h)' CODEC(ZSTD(1)),
    experiment LowCardinality(String) COMMENT 'The experiment, as in experiment_cells',
    arm LowCardinality(String) COMMENT 'Its arm',
    user_key UInt32 COMMENT 'Id of the key of the hash' CODEC(ZSTD(1)),
    user_hash UInt64 COMMENT 'SipHash-2-4 of the user with that key' CODEC(LZ4),
    events UInt64 COMMENT 'Counted events of this slice below the position in version; an absolute count' CODEC(T64, ZSTD(1)),
    version UInt64 COMMENT 'epoch x 2^48 + position; the highest is current' CODEC(ZSTD(1))
)
ENGINE = {family}ReplacingMergeTree(version)
PARTITION BY toYYYYMMDD(hour)
ORDER BY (experiment, hour, user_hash, user_key, arm, action, source, slice_block, arrived_at)
TTL hour + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Members of arms: hashes of users per source, slice, action, hour, experiment and arm. Read with FINAL';

-- The users of a sealed hour as sets, from which the day is made. A small set holds the hashes themselves, so these rows
-- are of persons too, and as short-lived. uniqCombined64(14) is exact for small sets; docs/tables.md has its error.
CREATE TABLE IF NOT EXISTS pin_user_states{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the hour' CODEC(Delta, ZSTD(1)),
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, ZSTD(1)),
    surface LowCardinality(String) COMMENT 'The surface',
    {column}_state AggregateFunction(uniqCombined64(14), UInt64) COMMENT 'Set of the users with {heading}' CODEC(ZSTD(1)),
    unflagged_{column} UInt64 COMMENT 'Trusted {heading} of users that are not flagged' CODEC(T64, ZSTD(1)),
    check_sum UInt64 COMMENT 'Sum over the members of the row of a hash of action and user, times their counts' CODEC(LZ4),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMMDD(window_start)
ORDER BY (window_start, pin_id, surface)
TTL window_start + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Sets of users per pin, hour and surface. Only rows whose seal is in user_seals count';

-- Users that did more in an hour than people do, over all pins (C37). These rows are of persons too, and as short-lived.
CREATE TABLE IF NOT EXISTS flagged_users{on_cluster}
(
    hour DateTime('UTC') COMMENT 'Start of the hour' CODEC(Delta, ZSTD(1)),
    user_key UInt32 COMMENT 'Id of the key of the hash' CODEC(ZSTD(1)),
    user_hash UInt64 COMMENT 'SipHash-2-4 of the user with that key' CODEC(LZ4),
    events UInt64 COMMENT 'Counted events of the user in the hour, of all pins and actions' CODEC(T64, ZSTD(1)),
    pins UInt64 COMMENT 'Distinct pins among them' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMMDD(hour)
ORDER BY (hour, user_key, user_hash)
TTL hour + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Hashes of users that were flagged in an hour. Only rows whose seal is in user_seals count';

-- What readers may see: numbers of users, of groups that are large enough.
CREATE TABLE IF NOT EXISTS pin_hour_users{on_cluster}
(
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, ZSTD(1)),
    window_start DateTime('UTC') COMMENT 'Start of the hour' CODEC(Delta, ZSTD(1)),
    surface LowCardinality(String) COMMENT 'The surface; empty: all of them',
    users UInt64 COMMENT 'Users with any action' CODEC(T64, ZSTD(1)),
    {column}_users Nullable(UInt64) COMMENT 'Users with {heading}; NULL: fewer than are shown' CODEC(ZSTD(1)),
    unflagged_{column} UInt64 COMMENT 'Trusted {heading} of users that were not flagged in their hour' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(T64, ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMMDD(window_start)
ORDER BY (pin_id, window_start, surface)
TTL window_start + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Users per pin and hour, and by surface, of groups that are large enough. Only rows whose seal is in user_seals count: read pin_users_1h';

CREATE TABLE IF NOT EXISTS pin_day_users{on_cluster}
(
    pin_id UInt64 COMMENT 'The pin' CODEC(Delta, ZSTD(1)),
    window_start DateTime('UTC') COMMENT 'Start of the day, UTC' CODEC(Delta, ZSTD(1)),
    surface LowCardinality(String) COMMENT 'The surface; empty: all of them',
    users UInt64 COMMENT 'Users with any action' CODEC(T64, ZSTD(1)),
    {column}_users Nullable(UInt64) COMMENT 'Users with {heading}; NULL: fewer than are shown' CODEC(ZSTD(1)),
    unflagged_{column} UInt64 COMMENT 'Trusted {heading} of users that were not flagged in their hour' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(T64, ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMM(window_start)
ORDER BY (pin_id, window_start, surface)
TTL window_start + INTERVAL 730 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Users per pin and day, and by surface, of groups that are large enough. Only rows whose seal is in user_seals count: read pin_users_1d';

CREATE TABLE IF NOT EXISTS user_seals{on_cluster}
(
    resolution Enum8('hour' = 1, 'day' = 2) COMMENT 'Length of the window',
    window_start DateTime('UTC') COMMENT 'Start of the window',
    seal UInt64 COMMENT 'Seal number; of a window the row with the highest one holds',
    rows_seal UInt64 COMMENT 'Seal number of the rows that count',
    is_open Bool COMMENT 'true: to be sealed again; readers keep the rows of the last publication until then',
    hours UInt8 COMMENT 'Hours of the window whose users were counted',
    keys UInt8 COMMENT 'Keys of the hash: with more than one, a user may be counted once for each',
    least UInt64 COMMENT 'Groups of fewer users are not shown',
    sets UInt64 COMMENT 'Sets of users in the window: pins by surface',
    check_sum UInt64 COMMENT 'Sum over its members of a hash of pin, surface, action and user, times their counts',
    flagged_sum UInt64 COMMENT 'Sum over its flagged users of a hash of the row',
    flagged_above UInt64 COMMENT 'Of an hour: users with more events are flagged; 0: nobody is, and for a day',
    flagged_users Nullable(UInt64) COMMENT 'Of an hour: flagged users; NULL: fewer than `least`, but not none, and for a day',
    flagged_events Nullable(UInt64) COMMENT 'Of an hour: their counted events; NULL as flagged_users',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row'
)
ENGINE = {family}ReplacingMergeTree(seal)
ORDER BY (resolution, window_start)
TTL window_start + INTERVAL 730 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Windows whose users are sealed, with their seal numbers. Read with FINAL';
