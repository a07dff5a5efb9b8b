-- What hours need of seal_state, without its layers and its days: a quarter less to plan. Both halves hold the same
-- subquery, letter for letter, so that it is read once and they agree on what is sealed.
-- .1: end of the last sealed hour, .2: open hours, .3: no hour before it is read from minutes, .4: the seals that count;
-- .5 and .6: .2 and .3 of breakdowns, which are read from cells also of hours without labels.
WITH
(
    SELECT
    (
        maxIf(window_start + INTERVAL 1 HOUR, NOT is_open) AS until,
        groupArrayIf(window_start, is_open) AS open,
        arrayMin(arrayPushBack(open, until)),
        groupArrayIf(seal, NOT is_open AND pins > 0),
        groupArrayIf(window_start, is_open OR breakdown_sum = 0 AND pins > 0) AS by_cells,
        arrayMin(arrayPushBack(by_cells, until))
    )
    FROM sealed FINAL
    WHERE resolution = 'hour' AND window_start >= toStartOfDay(now('UTC')) - INTERVAL 90 DAY
    AND toUInt8(if(getSetting('allow_experimental_analyzer'), '1',
        'allow_experimental_analyzer = 0 (or compatibility before 24.3): read hours and days with the analyzer on'))
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0, apply_deleted_mask = 1,
        input_format_tsv_enum_as_number = 0
) AS state
