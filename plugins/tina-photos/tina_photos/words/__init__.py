"""The encoder ``photo-words``: any English words -> vectors in the space of CLIP ViT-B/32, offline."""
