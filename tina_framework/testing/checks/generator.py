"""What a pretrained generator of a package promises: an intact folder, and an encoder that can be used without being named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from tina_framework.errors import DependencyError, PluginError
from tina_framework.generator.components import make_recorded_encoder
from tina_framework.generator.folder import GeneratorParts, read_folder
from tina_framework.generator.generator import Generator
from tina_framework.plugin.discovery import registries
from tina_framework.testing.findings import CheckSkipped, guarded, needs, require

if TYPE_CHECKING:
    from tina_framework.interfaces.encoder import Encoder

__all__ = ["NameOrFolder", "check_encoder", "check_folder", "check_generates", "check_repeatable"]

NameOrFolder = str | Path
"""The registered name of a generator, or its folder."""


def check_folder(generator: NameOrFolder) -> None:
    """The folder is complete, unaltered, and its weights fit the components that its configuration names."""
    _parts(generator)


@needs(check_folder)
def check_encoder(generator: NameOrFolder) -> None:
    """The default encoder may be used because the folder names it, and has the generator's vector space."""
    _encoder(generator, _parts(generator))


@needs(check_folder, check_encoder)
def check_generates(generator: NameOrFolder) -> None:
    """A classifier for two of the classes it was trained on is generated, and its parameters are finite."""
    generated = _generate(generator)
    bad = [name for name, norm in generated.items() if not math.isfinite(norm)]
    require(
        not bad,
        f"A classifier for two classes was generated whose {', '.join(bad)} is not finite.",
        "It can answer nothing.",
        "Export the generator again from a checkpoint whose validation accuracy is above chance.",
    )


@needs(check_folder, check_encoder, check_generates)
def check_repeatable(generator: NameOrFolder) -> None:
    """The same seed gives the same classifier."""
    require(
        _generate(generator) == _generate(generator),
        "Generated twice with one seed, a classifier has other parameters.",
        "A seed must reproduce a classifier.",
        "Draw random numbers only from the generator that a scheduler is given, and none in the encoder.",
    )


def _folder(generator: NameOrFolder) -> Path:
    if isinstance(generator, Path):
        return generator
    folder: Path = registries().generators.target(generator)
    return folder


def _parts(generator: NameOrFolder) -> GeneratorParts:
    with guarded(
        f"The folder of generator '{generator}' cannot be read",
        "Users cannot load it.",
        "Write the folder with save_pretrained and ship all of its files; see package-data in pyproject.toml.",
    ):
        return read_folder(_folder(generator))


def _encoder(generator: NameOrFolder, parts: GeneratorParts) -> Encoder:
    spec = parts.config.default_encoder
    provider = None if isinstance(generator, Path) else registries().generators.entry(generator).distribution
    with guarded(
        f"Its default encoder '{spec}' cannot be used without being named",
        "Users would have to name an encoder in every command.",
        "Name one of the same plugin, or one that states self_contained = True, and whose space is the generator's.",
    ):
        try:
            return make_recorded_encoder(spec, parts.condition_space, str(generator), provider)
        except (DependencyError, PluginError) as error:
            raise CheckSkipped(f"The encoder '{spec}' does not work here: {error}") from error


def _generate(generator: NameOrFolder) -> dict[str, float]:
    """Generate a classifier for the first two classes. Returns the norm of each of its tensors."""
    parts = _parts(generator)
    made = Generator(parts.config, parts.denoiser, parts.normalizer, parts.condition_space, targets=parts.targets)
    classes = parts.config.class_names[: max(2, parts.config.min_classes)]
    with guarded(
        f"No classifier for {', '.join(classes)} can be generated",
        "Users would see the same error.",
        "Try Generator.from_pretrained(NAME)([...]) in Python, and mend what fails.",
    ):
        model = made(list(classes), encoder=_encoder(generator, parts))
        return {name: float(tensor.norm()) for name, tensor in model.network.state_dict().items()}
