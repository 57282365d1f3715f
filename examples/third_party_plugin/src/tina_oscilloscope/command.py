"""``tina draw-wave``: draw a picture to try a generated classifier on. Heavy packages are imported when it runs."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer
from tina_framework.errors import ConfigError

__all__ = ["draw_wave"]


def draw_wave(
    name: Annotated[str, typer.Argument(help="A class of the data set 'oscilloscope': 'noisy short square wave'.")],
    out: Annotated[Path, typer.Option("--out", help="The picture file to write.")] = Path("wave.png"),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the picture.")] = 0,
) -> None:
    """Draw one oscilloscope picture, to try a classifier on."""
    import numpy as np
    from PIL import Image

    from tina_oscilloscope.waves import CLASS_NAMES, draw

    wanted = " ".join(name.lower().split())
    if wanted not in CLASS_NAMES:
        # An error of the framework is one sentence on the command line, with exit code 2 (a ConfigError) or 1.
        (close, *_) = difflib.get_close_matches(wanted, CLASS_NAMES, n=1, cutoff=0)
        raise ConfigError(f"There is no wave '{name}'. Did you mean '{close}'?")
    picture = draw([CLASS_NAMES.index(wanted)], np.random.default_rng(seed))[0]
    try:
        Image.fromarray(picture).save(out)
    except ValueError:
        raise ConfigError(f"'{out}' is not a picture file; end its name in .png.") from None
    typer.echo(f"Wrote {out}.")
