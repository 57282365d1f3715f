"""The prompt suite: the same tasks said in many ways (``tina evaluate --suite prompts``)."""
