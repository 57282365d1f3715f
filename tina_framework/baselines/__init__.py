"""Published methods that generated networks are compared with, where they are models of their own."""
