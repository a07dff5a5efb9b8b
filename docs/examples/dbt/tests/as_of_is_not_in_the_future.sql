-- A cut that was published before it was reached, and features of a cut that is not published.
SELECT 'published before it was reached' AS what, cut, published_at
FROM {{ source('pintally', 'cuts') }}
WHERE published_at < cut
UNION ALL
SELECT 'features of a cut that is not published' AS what, as_of AS cut, now64(3) AS published_at
FROM (SELECT DISTINCT as_of FROM {{ source('pintally', 'pin_features_latest') }}) AS features
WHERE as_of NOT IN (SELECT cut FROM {{ source('pintally', 'cuts') }}) OR as_of > now()
