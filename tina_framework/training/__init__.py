"""Train a generator: ``accelerate launch -m tina_framework.training --config FILE [--field value]``.

The random draws of an example depend only on the seed, the step and the example's place in the global batch; see
`randomness`. A run therefore has the same losses on any number of processes, and continues exactly after it was stopped.
"""
