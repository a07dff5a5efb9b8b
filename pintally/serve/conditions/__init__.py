"""What can be wrong, one subject a file: the cause in a sentence with figures, and the command that helps. Pure."""
