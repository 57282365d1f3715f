"""Make the tables of docs/reference/results.md again."""
