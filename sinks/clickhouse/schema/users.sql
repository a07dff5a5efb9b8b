-- Users of pins, from sealed windows alone: members are of persons, and no reader has a right to them. A window that is
-- opened again shows what was published last, until it is sealed again. What views.sql says at its head about settings of
-- readers holds for these too.

CREATE OR REPLACE VIEW user_seals_read{on_cluster}
(
    resolution Enum8('hour' = 1, 'day' = 2) COMMENT 'Length of the window',
    window_start DateTime('UTC') COMMENT 'Start of the window',
    seal UInt64 COMMENT 'Seal number of the rows that count',
    hours UInt8 COMMENT 'Hours of the window whose users were counted',
    keys UInt8 COMMENT 'Keys of the hash of users in the window',
    least UInt64 COMMENT 'Groups of fewer users are not shown'
)
AS SELECT resolution, window_start, rows_seal AS seal, hours, keys, least
FROM user_seals FINAL
WHERE
{answers_are_whole}
SETTINGS apply_deleted_mask = 1
COMMENT 'Part of the views of users: the windows whose users are sealed';

CREATE OR REPLACE VIEW pin_users_1h{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the hour, event time, UTC',
    pin_id UInt64 COMMENT 'The pin',
    users UInt64 COMMENT 'Users with any action in the window; of a sealed hour, in groups of at least `least`',
    {column}_users Nullable(UInt64) COMMENT 'Users with {heading} in the window; NULL: fewer than `least`, but not none',
    unflagged_{column} UInt64 COMMENT 'Trusted {heading} in the window of users that were not flagged in the hour of their event',
    keys UInt8 COMMENT 'Keys of the hash of users in the window: with more than one, a user may be counted once for each',
    least UInt64 COMMENT 'Groups of fewer users have no row'
)
AS SELECT window_start, pin_id, users, {users}, {unflagged}, keys, least
FROM pin_hour_users AS r
INNER JOIN
(
    SELECT window_start, seal, hours, keys, least FROM user_seals_read WHERE resolution = 'hour'
) AS s USING (window_start, seal)
WHERE surface = ''
SETTINGS apply_deleted_mask = 1, join_default_strictness = 'ALL', input_format_tsv_enum_as_number = 0
COMMENT 'Users per pin and hour, where PINTALLY_COUNT_USERS is on';

CREATE OR REPLACE VIEW pin_users_1d{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the day, event time, UTC',
    pin_id UInt64 COMMENT 'The pin',
    users UInt64 COMMENT 'Users with any action in the window; of a sealed day, in groups of at least `least`',
    {column}_users Nullable(UInt64) COMMENT 'Users with {heading} in the window; NULL: fewer than `least`, but not none',
    unflagged_{column} UInt64 COMMENT 'Trusted {heading} in the window of users that were not flagged in the hour of their event',
    hours UInt8 COMMENT 'Hours of the day whose users were counted',
    keys UInt8 COMMENT 'Keys of the hash of users in the window: with more than one, a user may be counted once for each',
    least UInt64 COMMENT 'Groups of fewer users have no row'
)
AS SELECT window_start, pin_id, users, {users}, {unflagged}, hours, keys, least
FROM pin_day_users AS r
INNER JOIN
(
    SELECT window_start, seal, hours, keys, least FROM user_seals_read WHERE resolution = 'day'
) AS s USING (window_start, seal)
WHERE surface = ''
SETTINGS apply_deleted_mask = 1, join_default_strictness = 'ALL', input_format_tsv_enum_as_number = 0
COMMENT 'Users per pin and day, where PINTALLY_COUNT_USERS is on';

CREATE OR REPLACE VIEW pin_surface_users_1h{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the hour, event time, UTC',
    pin_id UInt64 COMMENT 'The pin',
    surface LowCardinality(String) COMMENT 'The surface, as events say it; unknown: they do not; other: beyond the first 256 of a slice',
    users UInt64 COMMENT 'Users with any action in the window; of a sealed hour, in groups of at least `least`',
    {column}_users Nullable(UInt64) COMMENT 'Users with {heading} in the window; NULL: fewer than `least`, but not none',
    unflagged_{column} UInt64 COMMENT 'Trusted {heading} in the window of users that were not flagged in the hour of their event',
    keys UInt8 COMMENT 'Keys of the hash of users in the window: with more than one, a user may be counted once for each',
    least UInt64 COMMENT 'Groups of fewer users have no row'
)
AS SELECT window_start, pin_id, surface, users, {users}, {unflagged}, keys, least
FROM pin_hour_users AS r
INNER JOIN
(
    SELECT window_start, seal, hours, keys, least FROM user_seals_read WHERE resolution = 'hour'
) AS s USING (window_start, seal)
WHERE surface != ''
SETTINGS apply_deleted_mask = 1, join_default_strictness = 'ALL', input_format_tsv_enum_as_number = 0
COMMENT 'Users per pin, hour and surface; a user of two surfaces counts in both';

CREATE OR REPLACE VIEW pin_surface_users_1d{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the day, event time, UTC',
    pin_id UInt64 COMMENT 'The pin',
    surface LowCardinality(String) COMMENT 'The surface, as events say it; unknown: they do not; other: beyond the first 256 of a slice',
    users UInt64 COMMENT 'Users with any action in the window; of a sealed day, in groups of at least `least`',
    {column}_users Nullable(UInt64) COMMENT 'Users with {heading} in the window; NULL: fewer than `least`, but not none',
    unflagged_{column} UInt64 COMMENT 'Trusted {heading} in the window of users that were not flagged in the hour of their event',
    hours UInt8 COMMENT 'Hours of the day whose users were counted',
    keys UInt8 COMMENT 'Keys of the hash of users in the window: with more than one, a user may be counted once for each',
    least UInt64 COMMENT 'Groups of fewer users have no row'
)
AS SELECT window_start, pin_id, surface, users, {users}, {unflagged}, hours, keys, least
FROM pin_day_users AS r
INNER JOIN
(
    SELECT window_start, seal, hours, keys, least FROM user_seals_read WHERE resolution = 'day'
) AS s USING (window_start, seal)
WHERE surface != ''
SETTINGS apply_deleted_mask = 1, join_default_strictness = 'ALL', input_format_tsv_enum_as_number = 0
COMMENT 'Users per pin, day and surface; a user of two surfaces counts in both';

CREATE OR REPLACE VIEW flagged_users_1h{on_cluster}
(
    window_start DateTime('UTC') COMMENT 'Start of the hour, event time, UTC',
    users Nullable(UInt64) COMMENT 'Users that were flagged in the hour: those with more than `above` counted events of all pins; NULL: fewer than `least`, but not none',
    events Nullable(UInt64) COMMENT 'Counted events of these users in the hour; NULL as users',
    above UInt64 COMMENT 'The limit, by which the hour was sealed; 0: nobody was flagged',
    least UInt64 COMMENT 'Fewer users are not shown'
)
AS SELECT window_start, flagged_users AS users, flagged_events AS events, flagged_above AS above, least
FROM user_seals FINAL
WHERE resolution = 'hour' AND
{answers_are_whole}
SETTINGS apply_deleted_mask = 1, input_format_tsv_enum_as_number = 0
COMMENT 'How many users were flagged in each sealed hour, where PINTALLY_COUNT_USERS is on';
