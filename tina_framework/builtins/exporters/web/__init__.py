"""The format ``web``: a folder with a page that classifies pictures in the browser."""
