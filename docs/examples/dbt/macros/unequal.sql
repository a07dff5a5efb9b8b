{# Windows of `longer` that are not the sums of those of `shorter`. `only` is a condition on rows of `longer`. #}
{% macro unequal(longer, shorter, start, only='true') %}
SELECT at, pin_id, {% for action in pintally.pintally_actions() %}sum({{ action }}_) AS {{ action }}_too_many{{ ', ' if not loop.last }}{% endfor %}

FROM
(
    SELECT window_start AS at, pin_id, {% for action in pintally.pintally_actions() %}toInt64({{ action }}) AS {{ action }}_{{ ', ' if not loop.last }}{% endfor %}

    FROM {{ source('pintally', longer) }}
    WHERE window_start >= {{ pintally.pintally_since() }} AND {{ only }}
    UNION ALL
    SELECT {{ start }}(window_start) AS at, pin_id, {% for action in pintally.pintally_actions() %}-toInt64({{ action }}) AS {{ action }}_{{ ', ' if not loop.last }}{% endfor %}

    FROM {{ source('pintally', shorter) }}
    WHERE window_start >= {{ pintally.pintally_since() }}
) AS both
GROUP BY at, pin_id
HAVING {% for action in pintally.pintally_actions() %}{{ action }}_too_many != 0{{ ' OR ' if not loop.last }}{% endfor %}

{% endmacro %}
