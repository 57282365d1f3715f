"""Training a generator: ``accelerate launch -m tina_framework.training --config FILE [--field value]``.

A step's randomness depends on the seed, the step and the place in the global batch alone (`randomness`), so a run gives
the same losses on any number of processes and goes on exactly after a stop.
"""
