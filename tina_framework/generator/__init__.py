"""What `tina_framework.generator.generator.Generator` is made of: its configuration, folder and card, the Hub, and sampling."""
