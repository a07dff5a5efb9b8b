"""The way from Kafka to the sink: transport, fold, table, recovery, flushing; the command and the local engines."""
