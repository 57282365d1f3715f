"""The command ``tina``: one module a command, each with ``register(app)``; torch is imported inside commands only."""
