"""The denoiser: a diffusion transformer over parameter tokens, its sizes, and the scaling of its inputs and outputs."""
