"""The local page of ``tina ui``: type words, drop photographs, fine-tune, download. No module but `application` and `server` needs the web server."""
