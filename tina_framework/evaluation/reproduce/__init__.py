"""``tina reproduce``: measuring recorded tables again.

A record is a folder ``evaluation/recorded/NAME`` of the package. It holds `record.json` (the tables and their
figures), a file of tasks with recorded accuracies for each table, and digests of the images that were measured on. It
holds no images.
"""
