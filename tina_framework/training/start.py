"""Start a run from another generator (`init_from`): what must agree with it, and what is taken from it."""

from __future__ import annotations

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.generator.scheduler import noise_process_named, trained_process
from tina_framework.interfaces.tokenizer import TokenLayout
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.training.data import ConditionBank
from tina_framework.training.run_scheduler import noise_settings

__all__ = ["check_coordinates", "check_denoiser", "same_space", "take_weights"]


def check_coordinates(config: TrainingConfig, start: Generator) -> None:
    """Refuse a setting `whitening` that says otherwise than the generator of `init_from`, whose coordinates are kept."""
    whitened = start.normalizer.whitening is not None
    if "whitening" in config.model_fields_set and (config.whitening is not None) != whitened:
        theirs = "whitened" if whitened else "plain"
        raise ConfigError(
            f"whitening is {config.whitening or 'none'}, but the generator '{config.init_from}' has {theirs} coordinates, "
            "and a run that starts from it keeps them. Remove the setting, or remove init_from."
        )


def same_space(start: Generator, conditions: ConditionBank) -> ConditionSpace:
    """Return the condition space of a generator, after checking that the encoders have the same embedding space."""
    if (start.condition_space.space, start.condition_space.dim) != (conditions.space.space, conditions.space.dim):
        raise ConfigError(
            f"The generator of init_from has the embedding space '{start.condition_space.space}' ({start.condition_space.dim} "
            f"wide), but the encoders have '{conditions.space.space}' ({conditions.space.dim} wide). Use encoders of its space."
        )
    return start.condition_space


def take_weights(denoiser: Denoiser, start: Generator, config: TrainingConfig) -> None:
    """Copy the weights of a generator into the denoiser, after checking that their settings agree."""
    ours, theirs = denoiser.config.to_dict(), start.denoiser.config.to_dict()
    # Dropout has no weights, so it may differ.
    # Settings of described tokens are left out of the configuration of others.
    names = list(dict.fromkeys([*ours, *theirs]))
    odd = [name for name in names if ours.get(name) != theirs.get(name) and name != "dropout"]
    odd += _other_noise(start, config)
    _refuse(odd, config)
    denoiser.load_state_dict(start.denoiser.state_dict())


def check_denoiser(denoiser: Denoiser, layout: TokenLayout, start: Generator, config: TrainingConfig) -> None:
    """Check that a denoiser that is taken as it is fits the network, the tokenizer and the noise process of the run."""
    sizes = denoiser.config
    odd = _other_noise(start, config)
    if (sizes.group_widths, sizes.equivariant) != (layout.group_widths, layout.equivariant):
        odd.append("tokenizer or architecture")
    if sizes.max_classes != config.max_classes:
        odd.append("max_classes")
    if sizes.input_floor != config.input_floor:
        odd.append("input_floor")
    _refuse(odd, config)


def _other_noise(start: Generator, config: TrainingConfig) -> list[str]:
    """Return the names of the settings of the noise process in which a generator and a run differ."""
    trained = start.config.scheduler["config"]
    odd = [name for name, value in noise_settings(config).items() if trained.get(name, value) != value]
    if trained_process(start.config).noise_process != noise_process_named(config.scheduler):
        odd.append("scheduler")
    return odd


def _refuse(odd: list[str], config: TrainingConfig) -> None:
    """Raise a ConfigError that names settings which differ, if there are any."""
    if odd:
        raise ConfigError(
            f"The generator '{config.init_from}' differs from the settings in {', '.join(odd)}. "
            "Use its settings, or remove init_from."
        )
