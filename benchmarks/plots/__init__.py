"""Draw the pictures of the documents from the files that evaluation and training write.

`reading` finds and checks files. `series` turns them into points. `curves`, `pairs`, `frontier` and `prompts` draw.
`style` holds the common look and writes the file. Needs the extra ``plots`` (matplotlib).
"""
