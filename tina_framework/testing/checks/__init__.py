"""The checks, one module a kind: plain functions of the thing to check, without pytest.

Each returns nothing or raises `ConformanceError`; `CheckSkipped` if it does not apply.
"""
