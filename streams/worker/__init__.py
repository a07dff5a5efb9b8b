"""The Faust app: agents, tables, ticks, recovery."""
