"""The command line ``tina``: one module for each command, each with ``register(app)``. Only running a command imports torch."""
