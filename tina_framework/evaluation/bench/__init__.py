"""`tina bench`: all installed methods on the reserved tasks of a protocol, in one table."""
