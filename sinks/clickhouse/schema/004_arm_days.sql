-- Users of the arms of experiments, as numbers that readers may see: of each sealed day, and of the days up to it. Users of
-- some days are not the sum of the users of each, so there is a row for each number of days. They are made from
-- arm_members, which are of persons; nothing of a person is left in them.

CREATE TABLE IF NOT EXISTS arm_day_users{on_cluster}
(
    experiment LowCardinality(String) COMMENT 'The experiment',
    day DateTime('UTC') COMMENT 'Start of the last day of the window, UTC' CODEC(Delta, ZSTD(1)),
    days UInt16 COMMENT 'Days of the window, which ends with that day' CODEC(ZSTD(1)),
    arm LowCardinality(String) COMMENT 'Its arm',
    users Nullable(UInt64) COMMENT 'Users with an event of the arm in the window, each once; NULL: fewer than are shown' CODEC(ZSTD(1)),
    in_several_arms Nullable(UInt64) COMMENT 'Those of them with an event of another arm of the experiment in it; NULL: fewer than are shown, but not none' CODEC(ZSTD(1)),
    events UInt64 COMMENT 'Counted events of the arm in the window; the users are those of these events' CODEC(T64, ZSTD(1)),
    seal UInt64 COMMENT 'Number of the sealing that wrote this row' CODEC(T64, ZSTD(1))
)
ENGINE = {family}MergeTree
PARTITION BY toYYYYMMDD(day)
ORDER BY (experiment, day, days, arm)
TTL day + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Users per arm and window of days, of groups that are large enough. Only rows whose seal is in arm_day_seals count: read experiment_results';

CREATE TABLE IF NOT EXISTS arm_day_seals{on_cluster}
(
    day DateTime('UTC') COMMENT 'The last day of the windows',
    seal UInt64 COMMENT 'Seal number; of a day the row with the highest one holds',
    rows_seal UInt64 COMMENT 'Seal number of the rows that count',
    is_open Bool COMMENT 'true: to be sealed again; readers keep the rows of the last publication until then',
    days UInt16 COMMENT 'Days of the longest window',
    least UInt64 COMMENT 'Groups of fewer users are not shown',
    rows UInt64 COMMENT 'Rows with rows_seal',
    check_sum UInt64 COMMENT 'Sum of a hash of each of them',
    members_sum UInt64 COMMENT 'Sum over the members of the longest window of a hash of arm, hour and user, times their events',
    written_at DateTime('UTC') DEFAULT now('UTC') COMMENT 'When ClickHouse received this row'
)
ENGINE = {family}ReplacingMergeTree(seal)
ORDER BY day
TTL day + INTERVAL 90 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Days of which the users of arms are sealed, with their seal numbers. Read with FINAL';
