"""The sink that is ClickHouse."""
