"""Exact per-pin engagement counts, from Kafka to ClickHouse, with Faust."""
