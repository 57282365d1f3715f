"""Three tiny target architectures for tina_framework."""
