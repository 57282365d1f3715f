"""The format ``c``: a classifier as C99 source with 8-bit integers, for microcontrollers.

A network passes through three forms: `operations` (real numbers), `integers` (what is computed on the device), and C.
The integer arithmetic is that of Jacob et al. 2018 (arXiv 1712.05877), as in TensorFlow Lite.
"""
