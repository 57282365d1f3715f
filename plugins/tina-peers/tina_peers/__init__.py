"""Published competitors, re-implemented from their papers and measured by the same program as `tina`."""
