"""Prove on a GPU what the tests cannot prove on a CPU; see README.md in this folder."""
