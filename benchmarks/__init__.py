"""Scripts behind the figures of the documents; run them as modules from the repository root (see README.md)."""
