"""Plugins: find and load them, register names, and report what is missing or misspelt."""
