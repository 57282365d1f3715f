"""`Generator` and its parts: configuration, folder and card, the Hub, and sampling."""
