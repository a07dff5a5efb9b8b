-- An hour that differs from the sum of its minutes, in any action.
{{ unequal('pin_engagement_1h', 'pin_engagement_1m', 'toStartOfHour') }}
