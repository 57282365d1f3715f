"""A generated linear head on frozen CLIP ViT-B/32 image features, for tina_framework."""
