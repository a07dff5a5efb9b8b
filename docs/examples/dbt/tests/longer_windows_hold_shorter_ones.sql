-- A pin with more events in a short window than in a longer one.
SELECT *
FROM {{ source('pintally', 'pin_features_latest') }}
WHERE {% for action in pintally.pintally_actions() %}{{ action }}_1h > {{ action }}_24h OR {{ action }}_24h > {{ action }}_7d OR {{ action }}_7d > {{ action }}_30d{{ ' OR ' if not loop.last }}{% endfor %}
