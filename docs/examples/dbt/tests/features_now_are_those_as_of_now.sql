-- A pin whose features now differ from those as of the moment at which their cut was published.
{% set cut = "(SELECT argMin(published_at, (-toUnixTimestamp(cut), published_at)) FROM " ~ source('pintally', 'cuts') ~ ")" %}
SELECT pin_id, count() AS found
FROM
(
    SELECT * FROM {{ source('pintally', 'pin_features_latest') }}
    UNION DISTINCT
    SELECT * FROM {{ pintally.pin_features(cut) }}
) AS both
GROUP BY pin_id, as_of
HAVING found > 1
