"""The way from Kafka to the sink: transport, fold, table, recovery, emission; the command and the local engines."""
