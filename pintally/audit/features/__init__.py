"""What was known when: the tables of features against the cells, against each other, and the cuts against the log."""
