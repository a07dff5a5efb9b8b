-- What experiments say. Each pintally migrate replaces the view. What views.sql says at its head holds for it too.
--
-- A metric of an arm is a sum, or a ratio of two sums, over 256 buckets of users. Its variance is that between buckets, by
-- the delta method: of a ratio, that of numerator - ratio x denominator. A sum is a ratio whose denominator is 1/256 in each
-- bucket, also in those without a row. What is needed of the buckets are sums of products, so absent ones need no row.
-- A line with {column} is repeated for each action, a line with {label} for each but close-ups.

CREATE OR REPLACE VIEW experiment_results{on_cluster}
(
    experiment String COMMENT 'The experiment',
    arm String COMMENT 'An arm of it',
    control String COMMENT 'The arm that it is compared with: control, or the first by name if no arm is called so',
    metric String COMMENT 'saves, trusted_saves, ...: events in all; save_rate, click_rate: events for each close-up',
    value Float64 COMMENT 'The metric of this arm in [since, until)',
    difference Float64 COMMENT 'value - that of the control arm',
    low Float64 COMMENT 'Lower end of the 95% interval of difference, by the variance between buckets of users',
    high Float64 COMMENT 'Upper end of it',
    lift Float64 COMMENT 'difference / value of the control arm; NaN if that is 0',
    p Float64 COMMENT 'How likely a difference at least as large is if the arms do not differ, two-sided; NaN for the control arm',
    sample_ratio_p Float64 COMMENT 'p of equal shares of the arm and the control arm, from their trusted events by bucket; NaN for the control arm',
    sample_ratio_alarm Bool COMMENT 'sample_ratio_p < 0.001: the arms have not equal shares of users, or differ much; compare only ratios'
)
AS
WITH
buckets AS
(
    SELECT arm, bucket,
        sum(events * (action = {number})) AS {column},
        sum(trusted * (action = {number})) AS trusted_{column},
        sum(trusted) AS pooled
    FROM experiment_cells FINAL
    WHERE experiment = {experiment:String} AND hour >= {since:DateTime('UTC')} AND hour < {until:DateTime('UTC')}
    GROUP BY arm, bucket
),
products AS
(
    SELECT arm, measured.1 AS metric, measured.4 AS is_ratio, sum(measured.2 AS n) AS numerator,
        if(is_ratio, sum(measured.3 AS d), 1) AS denominator, sum(n * n) AS nn,
        if(is_ratio, sum(n * d), numerator / 256) AS nd, if(is_ratio, sum(d * d), 1 / 256) AS dd
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
    SELECT arm, metric, numerator / denominator AS value,
        256 / 255 * (nn - 2 * value * nd + value * value * dd) / (denominator * denominator) AS variance
    FROM products
),
compared AS
(
    SELECT arm, metric, value, variance, first_value((arm, value, variance)) OVER whole AS against,
        if(arm = against.1, nan, value - against.2) AS difference, sqrt(variance + against.3) AS error,
        erfc(abs(difference) / error / sqrt(2)) AS p
    FROM arms
    WINDOW whole AS (PARTITION BY metric ORDER BY arm != 'control', arm ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
)
SELECT {experiment:String} AS experiment, one.arm AS arm, one.against.1 AS control, one.metric AS metric, one.value AS value,
    one.difference AS difference, one.difference - 1.959963984540054 * one.error AS low,
    one.difference + 1.959963984540054 * one.error AS high, one.difference / one.against.2 AS lift, one.p AS p,
    ratio.p AS sample_ratio_p, ratio.p < 0.001 AS sample_ratio_alarm
FROM compared AS one
INNER JOIN (SELECT arm, p FROM compared WHERE metric = '') AS ratio ON one.arm = ratio.arm
WHERE one.metric != ''
SETTINGS apply_deleted_mask = 1, join_use_nulls = 0, aggregate_functions_null_for_empty = 0
COMMENT 'Arms of an experiment and how they differ from the control arm: experiment_results(experiment = ''checkout'', since = ''2026-01-01'', until = ''2026-01-08'')';
