"""The contracts between the framework and its plugins, one a file.

Nothing is imported here: `interfaces.architecture` and `interfaces.tokenizer` need torch, the rest does not.
"""
