"""From Kafka to the sink: settings, Kafka, the counting core, the worker, and the operations on counts."""
