"""Pictures from the files that evaluation and training write. Needs the extra ``plots`` (matplotlib).

`reading` finds and checks files, `series` turns them into points, `curves`, `pairs` and `frontier` draw, `style` is the look and
the file.
"""
