-- A day that differs from the sum of its hours, in any action.
{{ unequal('pin_engagement_1d', 'pin_engagement_1h', 'toStartOfDay') }}
