-- Users of arms, from members, which are of persons: readers have no right to this view, who runs workers has. Each pintally
-- migrate replaces it. What views.sql says at its head about settings of readers holds for it too.

CREATE OR REPLACE VIEW experiment_users{on_cluster}
(
    arm String COMMENT 'An arm of the experiment',
    users UInt64 COMMENT 'Users with an event of the arm in [since, until), each once',
    in_several_arms UInt64 COMMENT 'Those of them who have events of another arm too',
    events UInt64 COMMENT 'Events of these users; as many as the arm has if its users were counted in all hours',
    keys Array(UInt32) COMMENT 'Ids of the keys of the hash of users: with more than one, a user may be counted once for each'
)
AS
SELECT arm_of_user.1 AS arm, count() AS users, countIf(length(arms) > 1) AS in_several_arms, sum(arm_of_user.2) AS events,
    arraySort(groupUniqArray(user_key)) AS keys
FROM
(
    SELECT user_key, user_hash, groupArray((name, n)) AS arms
    FROM
    (
        SELECT user_key, user_hash, toString(arm) AS name, sum(events) AS n
        FROM arm_members FINAL
        WHERE experiment = {experiment:String} AND hour >= {since:DateTime('UTC')} AND hour < {until:DateTime('UTC')} AND
{answers_are_whole}
        GROUP BY user_key, user_hash, name
        HAVING n > 0
    )
    GROUP BY user_key, user_hash
)
ARRAY JOIN arms AS arm_of_user
GROUP BY arm
SETTINGS apply_deleted_mask = 1, aggregate_functions_null_for_empty = 0
COMMENT 'Users of the arms of an experiment: experiment_users(experiment = ''checkout'', since = ''2026-01-01'', until = ''2026-01-08'')';
