-- What experiments say. Each pintally migrate replaces the view. What views.sql says at its head holds for it too.
--
-- A metric of an arm is a sum, or a ratio of two sums, over 256 buckets of users. Its variance is that between buckets, by
-- the delta method: of a ratio, that of numerator - ratio x denominator. A sum is a ratio whose denominator is 1/256 in each
-- bucket, also in those without a row. What is needed of the buckets are sums of products, so absent ones need no row. Of a
-- ratio only buckets with events count as parts: one of them alone has no variance, and says nothing of chance. The lift
-- is a ratio of two values that vary apart: its variance is (variance + ratio^2 x that of control) / control^2. Where an
-- error is 0, buckets do not differ, and what is chance is unknown: NaN. What is left of equal parts by rounding is 0.
-- Sealed hours are read from their roll-up, others from cells. What is sealed is read first: the first SELECT of the union
-- finds nothing, and makes ClickHouse read `state` before it takes the snapshots of the tables that follow.
-- Users are those of a sealed window of whole days, and stand only beside the events that they were counted with.
-- state.1: end of the last sealed hour, .2: open hours, .3: no hour before it is read from cells, .4: the seals that count.
-- users_seal: that of the users of arms of the last day.
-- A line with {column} is repeated for each action, a line with {label} for each but close-ups.

CREATE OR REPLACE VIEW experiment_results{on_cluster}
(
    experiment String COMMENT 'The experiment',
    arm String COMMENT 'An arm of it',
    control String COMMENT 'The arm that it is compared with: control, or the first by name if no arm is called so',
    metric String COMMENT 'saves, trusted_saves, ...: events in all; save_rate, click_rate: events for each close-up',
    value Float64 COMMENT 'The metric of this arm in [since, until); NaN for a rate if the arm has no close-ups',
    difference Float64 COMMENT 'value - that of the control arm',
    low Float64 COMMENT 'Lower end of the 95% interval of difference, by the variance between buckets of users; NaN if they do not differ, or there is but one',
    high Float64 COMMENT 'Upper end of it',
    lift Float64 COMMENT 'difference / value of the control arm; NaN if that is 0',
    lift_low Float64 COMMENT 'Lower end of the 95% interval of lift, in which the value of the control arm is not exact either',
    lift_high Float64 COMMENT 'Upper end of it',
    p Float64 COMMENT 'How likely a difference at least as large is if the arms do not differ, two-sided; NaN for the control arm, and where low is',
    users Nullable(UInt64) COMMENT 'Users with an event of the arm in [since, until), each once; NULL: fewer than are shown, or unknown',
    in_several_arms Nullable(UInt64) COMMENT 'Those of them who have events of another arm too; NULL: as users, if not none',
    sample_ratio_p Float64 COMMENT 'p of equal shares of the arm and the control arm: from their users, or if these are NULL from their trusted events by bucket; NaN for the control arm',
    sample_ratio_alarm Bool COMMENT 'sample_ratio_p < 0.001: the arms have not equal shares of users, or differ much and users are NULL; compare only ratios'
)
AS
WITH
assumeNotNull((
    SELECT
    (
        maxIf(window_start + INTERVAL 1 HOUR, NOT is_open) AS sealed_until,
        groupArrayIf(window_start, is_open) AS open,
        arrayMin(arrayPushBack(open, sealed_until)),
        groupArrayIf(seal, NOT is_open AND experiment_sum != 0)
    )
    FROM sealed FINAL
    WHERE resolution = 'hour' AND window_start >= toStartOfDay(now('UTC')) - INTERVAL 90 DAY AND
{answers_are_whole}
        AND
{analyzer_is_new}
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0, apply_deleted_mask = 1,
        input_format_tsv_enum_as_number = 0
)) AS state,
assumeNotNull((
    SELECT max(rows_seal) FROM arm_day_seals FINAL WHERE day = {until:DateTime('UTC')} - INTERVAL 1 DAY
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0, apply_deleted_mask = 1
)) AS users_seal,
buckets AS
(
    SELECT
        arm,
        bucket,
        sum(c{number}) AS {column},
        sum(t{number}) AS trusted_{column},
        sum({total_of_trusted}) AS pooled
    FROM
    (
        SELECT
            toUInt64(0) AS c{number},
            toUInt64(0) AS t{number},
            '' AS arm, toUInt8(0) AS bucket
        FROM system.one
        WHERE dummy > 0 AND empty(state.4) AND users_seal = 0
        UNION ALL
        SELECT
            {column} AS c{number},
            trusted_{column} AS t{number},
            arm, bucket
        FROM experiment_hours
        WHERE experiment = {experiment:String} AND window_start >= {since:DateTime('UTC')}
            AND window_start < {until:DateTime('UTC')} AND seal IN state.4
        UNION ALL
        SELECT
            if(action = {number}, events, 0) AS c{number},
            if(action = {number}, trusted, 0) AS t{number},
            arm, bucket
        FROM experiment_cells FINAL
        WHERE experiment = {experiment:String} AND hour >= {since:DateTime('UTC')} AND hour < {until:DateTime('UTC')}
            AND hour >= state.3 AND (hour >= state.1 OR hour IN state.2) AND events > 0
    )
    GROUP BY arm, bucket
),
products AS
(
    SELECT arm, measured.1 AS metric, measured.4 AS is_ratio, sum(measured.2 AS n) AS numerator,
        if(is_ratio, sum(measured.3 AS d), 1) AS denominator, sum(n * n) AS nn,
        if(is_ratio, sum(n * d), numerator / 256) AS nd, if(is_ratio, sum(d * d), 1 / 256) AS dd,
        if(is_ratio, countIf(n + d > 0), 256) AS parts
    FROM
    (
        SELECT arm, arrayJoin([
            ('{column}', toFloat64({column}), 0., false),
            ('trusted_{column}', toFloat64(trusted_{column}), 0., false),
            ('{label}_rate', toFloat64({column}), toFloat64(closeups), true),
            ('', toFloat64(pooled), 0., false)
        ]) AS measured
        FROM buckets
    )
    GROUP BY arm, metric, is_ratio
),
arms AS
(
    SELECT arm, metric, if(denominator = 0, nan, numerator / denominator) AS value,
        nn + value * value * dd AS squares, squares - 2 * value * nd AS rest,
        if(parts < 2, nan, parts / (parts - 1)) * if(rest < 1e-12 * squares, 0, rest) / (denominator * denominator)
            AS variance
    FROM products
),
compared AS
(
    SELECT arm, metric, value, variance, first_value((arm, value, variance)) OVER whole AS against,
        if(arm = against.1, nan, value - against.2) AS difference,
        sqrt(if(variance + against.3 = 0, nan, variance + against.3)) AS error,
        if(against.2 = 0, nan, against.2) AS divisor, difference / divisor AS lift, value / divisor AS ratio,
        variance + ratio * ratio * against.3 AS lift_variance,
        sqrt(if(lift_variance = 0, nan, lift_variance)) / divisor AS lift_error,
        erfc(abs(difference) / error / sqrt(2)) AS p
    FROM arms
    WINDOW whole AS (PARTITION BY metric ORDER BY arm != 'control', arm ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
),
told AS
(
    SELECT arm, metric, value, against, difference, error, lift, lift_error, p,
        sum(if(metric = '', p, 0)) OVER (PARTITION BY arm) AS shares_p,
        toUInt64(sum(if(metric IN (
            '{column}',
            ' '), value, 0)) OVER (PARTITION BY arm)) AS total
    FROM compared
),
of_days AS
(
    SELECT toString(arm) AS arm, users, in_several_arms, events AS total
    FROM arm_day_users
    WHERE experiment = {experiment:String} AND day = {until:DateTime('UTC')} - INTERVAL 1 DAY AND seal = users_seal
        AND addDays(day, 1 - days) = {since:DateTime('UTC')}
),
acting AS
(
    SELECT t.*, u.users AS acted, u.in_several_arms AS several,
        first_value(tuple(u.users)) OVER whole AS of_control
    FROM told AS t
    LEFT JOIN of_days AS u ON t.arm = u.arm AND t.total = u.total
    WINDOW whole AS (PARTITION BY metric ORDER BY t.arm != 'control', t.arm ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
)
SELECT {experiment:String} AS experiment, arm, against.1 AS control, metric, value, difference,
    difference - 1.959963984540054 * error AS low, difference + 1.959963984540054 * error AS high,
    lift, lift - 1.959963984540054 * lift_error AS lift_low, lift + 1.959963984540054 * lift_error AS lift_high, p,
    acted AS users, several AS in_several_arms,
    if(arm = control, nan, ifNull(
        erfc(abs(toInt64(acted) - toInt64(of_control.1)) / sqrt(2 * (acted + of_control.1))), shares_p)) AS sample_ratio_p,
    sample_ratio_p < 0.001 AS sample_ratio_alarm
FROM acting
WHERE metric != ''
SETTINGS apply_deleted_mask = 1, join_use_nulls = 0, join_default_strictness = 'ALL', aggregate_functions_null_for_empty = 0,
    enable_shared_storage_snapshot_in_query = 0
COMMENT 'Arms of an experiment and how they differ from the control arm: experiment_results(experiment = ''checkout'', since = ''2026-01-01'', until = ''2026-01-08'')';
