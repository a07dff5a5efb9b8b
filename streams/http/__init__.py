"""The HTTP server of `pintally worker` and `pintally serve`."""
