"""The settings of a training run, one module for each component. `tina_framework.config.training` composes them."""
