"""Parts of ``photos.py``, which measures the generator `photos` and everything that it is compared with."""
