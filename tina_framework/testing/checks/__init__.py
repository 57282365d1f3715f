"""The checks, one or more modules for each kind: functions of the thing to check, without pytest.

Each check returns nothing or raises `ConformanceError`. It raises `CheckSkipped` if it does not apply.
"""
