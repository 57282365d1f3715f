"""Train TAPER, a baseline that mixes basis models; `tina evaluate --methods taper@FOLDER` measures it."""
