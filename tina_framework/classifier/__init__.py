"""Generated classifiers: prediction, abstaining, fine-tuning, and the folder in which one is saved."""
