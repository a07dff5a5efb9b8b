-- A condition that is true, or an error with the old analyzer, which finds no constant in a scalar subquery.
toUInt8(if(getSetting('allow_experimental_analyzer'), '1',
    'allow_experimental_analyzer = 0 (or compatibility before 24.3): read features and top pins with the analyzer on'))
