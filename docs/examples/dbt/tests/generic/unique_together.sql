{# No two rows have the same values in these columns. #}
{% test unique_together(model, columns) %}
SELECT {{ columns | join(', ') }}, count() AS found
FROM {{ model }}
GROUP BY {{ columns | join(', ') }}
HAVING found > 1
{% endtest %}
