"""Fine-tuning a classifier on a few pictures; `GeneratedClassifier.fine_tune` is the way in."""
