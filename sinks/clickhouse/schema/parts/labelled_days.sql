-- The columns of seal_state that breakdowns need beside those of sealed_days, which are the first eight: .9: hours that are
-- read from cells, .10: no hour before it is, .11: days without labels.
WITH
(
    SELECT (sealed_until, minutes_from, open_hours, hour_seals, days_until, days_from, open_days, day_seals, cell_hours,
        cells_from, plain_day_seals)
    FROM seal_state
    WHERE toUInt8(if(getSetting('allow_experimental_analyzer'), '1',
        'allow_experimental_analyzer = 0 (or compatibility before 24.3): read hours and days with the analyzer on'))
    SETTINGS aggregate_functions_null_for_empty = 0, empty_result_for_aggregation_by_empty_set = 0
) AS state
