"""Oscilloscope pictures for tina_framework: a data set, a one-channel network, and a command that draws."""
