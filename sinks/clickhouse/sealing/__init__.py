"""Final hours and days rolled up from minutes."""
