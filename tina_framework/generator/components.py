"""The plugin components that a generator's configuration names: architecture, tokenizer and encoder."""

from __future__ import annotations

import shlex

from tina_framework.errors import ConfigError, PluginError, printable, shorten
from tina_framework.generator.config import GeneratorConfig
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.encoder import Encoder
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import ParameterTokenizer
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.condition_space import ConditionSpace

__all__ = ["make_encoder", "make_recorded_encoder", "make_spec", "make_tokenizer"]


def make_spec(config: GeneratorConfig, name: str | None = None) -> ParameterSpec:
    """Return the parameters of the architecture that a configuration names.

    Args:
        config: the configuration.
        name: one of its `architectures`; None: the default one.

    Raises:
        PluginError: the plugin returned something other than an architecture.
        UnknownNameError: no architecture has that name.
    """
    name = config.architecture if name is None else name
    relative = config.relative_of(name)
    return ParameterSpec(_architecture(name), None if relative is None else ParameterSpec(_architecture(relative)))


def _architecture(name: str) -> TargetArchitecture:
    architecture = registries().architectures.create(name)
    if not isinstance(architecture, TargetArchitecture):
        raise PluginError(f"Architecture '{name}' made a {type(architecture).__name__}, not a TargetArchitecture.")
    return architecture


def make_tokenizer(config: GeneratorConfig) -> ParameterTokenizer:
    """Return the tokenizer that a configuration names.

    Raises:
        UnknownNameError: no tokenizer has that name.
    """
    tokenizer: ParameterTokenizer = registries().tokenizers.create(
        config.tokenizer["name"], **config.tokenizer["config"]
    )
    return tokenizer


def make_recorded_encoder(spec: str, space: ConditionSpace, model: str, provider: str | None = None) -> Encoder:
    """Return the encoder that a generator's folder names, if it is `self_contained` and has no argument.

    Anybody may have written the folder. So it can neither start a download nor choose a file that is read. A generator
    that an installed plugin provides may name any encoder of the same plugin, because its user runs the plugin's code anyway.

    Args:
        spec: ``name`` or ``name:argument``.
        space: the space whose vectors the generator reads.
        model: name of the generator, for the message.
        provider: the distribution that provides the generator; None for a folder or a Hub repository.

    Raises:
        ConfigError: the encoder may use the network or files, so that the caller has to name it; or as for `make_encoder`.
        UnknownNameError: no encoder has that name.
    """
    name, _, argument = spec.partition(":")
    encoders = registries().encoders
    is_trusted = provider is not None and encoders.entry(name).distribution == provider
    if not is_trusted and (argument or getattr(encoders.target(name), "self_contained", False) is not True):
        raise ConfigError(
            f"Generator {shorten(model)} names the encoder {shorten(spec)}, which may download data or read files elsewhere. "
            f"If you trust it, name it yourself: --encoder {shlex.quote(printable(spec))} or encoder={shorten(spec)}."
        )
    return make_encoder(spec, space)


def make_encoder(encoder: str | Encoder, space: ConditionSpace) -> Encoder:
    """Return an encoder, from its spec (``name`` or ``name:argument``) or as it was given.

    Args:
        encoder: spec or object.
        space: the space whose vectors the generator reads.

    Raises:
        ConfigError: it is not an encoder, or its vectors belong to another space.
        UnknownNameError: no encoder has that name.
    """
    instance: Encoder = registries().encoders.create(encoder) if isinstance(encoder, str) else encoder
    if not all(hasattr(instance, name) for name in ("name", "space", "dim")):
        raise ConfigError(f"The encoder is {shorten(instance)}; give the name of one, or an object with encode_text.")
    if instance.space != space.space or instance.dim != space.dim:
        raise ConfigError(
            f"Encoder '{instance.name}' gives vectors of the space '{instance.space}' ({instance.dim} wide), but this generator reads "
            f"'{space.space}' ({space.dim} wide); use an encoder of that space."
        )
    return instance
