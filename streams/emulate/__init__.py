"""Engagement that looks real, seeded, with its own truth."""
