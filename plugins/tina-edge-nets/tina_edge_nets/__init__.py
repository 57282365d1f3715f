"""Two tiny target architectures for tina_framework."""
