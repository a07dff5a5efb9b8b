-- A condition that is true, or an error where settings of a reader would cut an answer short: see views.sql.
toUInt8(if((concat(
    'read_overflow_mode = ', getSetting('read_overflow_mode'),
    '; read_overflow_mode_leaf = ', getSetting('read_overflow_mode_leaf'),
    '; group_by_overflow_mode = ', getSetting('group_by_overflow_mode'),
    '; sort_overflow_mode = ', getSetting('sort_overflow_mode'),
    '; result_overflow_mode = ', getSetting('result_overflow_mode'),
    '; distinct_overflow_mode = ', getSetting('distinct_overflow_mode'),
    '; set_overflow_mode = ', getSetting('set_overflow_mode'),
    '; join_overflow_mode = ', getSetting('join_overflow_mode'),
    '; transfer_overflow_mode = ', getSetting('transfer_overflow_mode'),
    '; timeout_overflow_mode = ', getSetting('timeout_overflow_mode'),
    '; timeout_overflow_mode_leaf = ', getSetting('timeout_overflow_mode_leaf'),
    '; additional_table_filters = ', toString(getSetting('additional_table_filters')),
    '; additional_result_filter = ', getSetting('additional_result_filter'),
    '; use_query_cache = ', toString(toUInt8(getSetting('use_query_cache')))
) AS cutting) = concat(
    'read_overflow_mode = throw; read_overflow_mode_leaf = throw; group_by_overflow_mode = throw; ',
    'sort_overflow_mode = throw; result_overflow_mode = throw; distinct_overflow_mode = throw; ',
    'set_overflow_mode = throw; join_overflow_mode = throw; transfer_overflow_mode = throw; ',
    'timeout_overflow_mode = throw; timeout_overflow_mode_leaf = throw; additional_table_filters = {}; ',
    'additional_result_filter = ; use_query_cache = 0'
), '1', concat('settings of yours cut this answer short, one of these is not ClickHouse''s default: ', cutting)))
