"""``tina reproduce``: recorded tables, measured again.

A record is a folder ``evaluation/recorded/NAME`` of the package: `record.json` (which tables there are and what they gave), a file
of tasks with recorded accuracies for each table, and digests of the pictures they were measured on. No picture is in it.
"""
