"""Export classifiers for programs without this package. The formats are exporters, which plugins register."""
