"""The Faust app: agents, tables, flushes, recovery."""
