"""Read and write files and model folders: atomic, hashed and checked."""
