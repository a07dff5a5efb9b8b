"""What an operator does to counts that exist."""
