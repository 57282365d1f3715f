"""Compare designs on validation tasks and validation images; docs/experiments holds the results."""
