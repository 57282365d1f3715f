"""The samplers of diffusers, by name, for generators of tina_framework."""
