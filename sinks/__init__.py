"""The contract of a sink, and ClickHouse: connection, schema, reading, writing, sealing."""
