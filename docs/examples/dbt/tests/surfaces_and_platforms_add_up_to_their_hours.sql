-- An hour of a pin that differs from the sum of its surfaces, or from that of its platforms, in any action.
SELECT * FROM ({{ unequal('pin_breakdown_1h', 'pin_engagement_1h', 'toStartOfHour', "dimension = 'surface'") }}) AS surfaces
UNION ALL
SELECT * FROM ({{ unequal('pin_breakdown_1h', 'pin_engagement_1h', 'toStartOfHour', "dimension = 'platform'") }}) AS platforms
