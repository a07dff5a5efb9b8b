"""Independent check of the counts. It shares no code with the counting path: other clients, parser and method."""
