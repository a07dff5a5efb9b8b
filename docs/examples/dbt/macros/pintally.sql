{# The columns of actions. #}
{% macro pintally_actions() %}{{ return(var('pintally_actions', ['saves', 'clicks', 'closeups'])) }}{% endmacro %}

{# The first day that tests look at. #}
{% macro pintally_since() %}toStartOfDay(now('UTC')) - INTERVAL {{ var('pintally_days') }} DAY{% endmacro %}

{# Features as they were known at a moment: SELECT * FROM {{ pintally.pin_features("now() - INTERVAL 1 HOUR") }} #}
{% macro pin_features(as_of) %}{{ source('pintally', 'pin_features_latest').include(database=false, identifier=false) }}.pin_features(as_of = {{ as_of }}){% endmacro %}
