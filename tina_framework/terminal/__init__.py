"""Everything that the programs print, and how they end. Used by the command line and by training."""
