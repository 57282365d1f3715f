"""Data for tina_framework: a generator, its zoo and an encoder that have seen eighty of the classes of CIFAR-100."""
