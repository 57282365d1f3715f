"""Sentence-transformers models as encoders of tina_framework."""
