"""ClickHouse as the sink."""
