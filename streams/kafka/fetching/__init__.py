"""From the socket to a chunk of one partition."""
