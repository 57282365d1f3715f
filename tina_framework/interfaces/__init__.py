"""The contracts between the framework and its plugins, one file for each kind.

Nothing is imported here, so that modules which need no torch load quickly: `dataset`, `encoder` and `scheduler`.
"""
