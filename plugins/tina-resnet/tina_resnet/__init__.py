"""ResNet-20 for tina_framework: a generated head on a frozen trunk, and the whole network without batch norm."""
