"""Replay of dead letters: which may be replayed, how values are corrected, and how each is sent at most once."""
