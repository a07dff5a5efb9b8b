"""Kafka: clients, topics, and records read in columns."""
