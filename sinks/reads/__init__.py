"""What readers ask, for the command and for `pintally.features`."""
