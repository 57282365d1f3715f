"""The prompt suite: the same tasks with many variants of their prompts (``tina evaluate --suite prompts``)."""
