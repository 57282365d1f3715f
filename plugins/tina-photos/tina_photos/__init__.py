"""Classifiers of photographs from any words, for tina_framework: a generated head on a frozen network for phones."""
