"""Target networks: run, train and combine them, with or without a frozen trunk."""
