"""`pintally serve`: metrics of all sources, health, and the live page, from one look a second for all who ask."""
