"""Proof that the counts are right. Imports nothing of the counting path: other client, other parser, other method."""
