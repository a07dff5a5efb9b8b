"""Apache Kafka and ClickHouse as child processes, without Docker."""
