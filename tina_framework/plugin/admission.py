"""Check what a plugin made where it enters, so that a fault is reported with the plugin's name and not much later as something else.

What is harmless is normalised: float64 vectors, lists of labels. Everything else is refused, with a sentence for the author.
"""

from __future__ import annotations

from typing import Any

from tina_framework.errors import PluginError, TinaError, reason_of, shorten

__all__ = ["admit"]


def admit(kind: str, what: str, made: Any) -> Any:
    """Return what a plugin made, checked and in the form that the framework reads.

    Args:
        kind: ``encoder``, ``architecture``, ``tokenizer``, ``scheduler``, ``dataset``, ``exporter`` or ``method``.
        what: the component and its package, to begin a message: ``Encoder 'sounds' of 'tina-sounds'``.
        made: an object.

    Raises:
        PluginError: it does not keep the contract of its kind; the message says what to change.
    """
    try:
        match kind:
            case "encoder":
                from tina_framework.plugin.checked_encoder import checked_encoder

                return checked_encoder(made, what)
            case "dataset":
                from tina_framework.plugin.checked_dataset import CheckedDataset

                return CheckedDataset(made, what)
            case "tokenizer":
                from tina_framework.plugin.checked_tokenizer import CheckedTokenizer

                return CheckedTokenizer(made, what)
            case "scheduler":
                _check_scheduler(made, what)
            case "architecture":
                _check_architecture(made, what)
            case "exporter":
                _check_exporter(made, what)
            case "method":
                from tina_framework.plugin.checked_method import CheckedMethod

                return CheckedMethod(made, what)
    except TinaError as error:
        if str(error).startswith(what):
            raise
        raise type(error)(f"{what}: {error}") from error
    except Exception as error:  # attributes of a plugin's object may be properties, which may raise anything
        raise PluginError(f"{what} cannot be used: {reason_of(error)}.") from error
    return made


def _check_scheduler(made: Any, what: str) -> None:
    import torch

    from tina_framework.interfaces.scheduler import noise_process_of

    methods = ("set_timesteps", "scale_model_input", "add_noise", "step")
    missing = [name for name in methods if not callable(getattr(made, name, None))]
    if missing or isinstance(made, type):
        raise PluginError(
            f"{what} is {shorten(made)}, which has no {f'method {missing[0]}()' if missing else 'instance'}; "
            f"return an object with config, alphas_cumprod, init_noise_sigma and the methods {', '.join(methods)}."
        )
    config: Any = getattr(made, "config", None)
    if not hasattr(config, "keys"):
        raise PluginError(f"{what}: config is {shorten(config)}; it must be a dict of all settings of its constructor.")
    noise_process_of(made)
    if "prediction_type" not in dict(config):
        raise PluginError(f"{what}: config has no prediction_type; put every setting of its noise process into it.")
    try:
        levels = torch.as_tensor(getattr(made, "alphas_cumprod", None)).float()
        good = levels.dim() == 1 and levels.numel() > 0 and bool(((levels >= 0) & (levels <= 1)).all())
    except (TypeError, ValueError, RuntimeError):
        good = False
    if not good:
        raise PluginError(
            f"{what}: alphas_cumprod is {shorten(getattr(made, 'alphas_cumprod', None))}; it must be a tensor (T,) with the share "
            "of signal at each training timestep, from 0 to 1."
        )
    try:
        sigma = float(getattr(made, "init_noise_sigma", None))  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        sigma = float("nan")
    if not 0 < sigma < float("inf"):
        raise PluginError(
            f"{what}: init_noise_sigma is {shorten(getattr(made, 'init_noise_sigma', None))}; it must be a number above 0."
        )


def _check_architecture(made: Any, what: str) -> None:
    from tina_framework.interfaces.architecture import TargetArchitecture
    from tina_framework.interfaces.spec import ParameterSpec
    from tina_framework.interfaces.trial import try_network

    if not isinstance(made, TargetArchitecture):
        raise PluginError(f"{what} is {shorten(made)}; return a TargetArchitecture.")
    try:
        try_network(ParameterSpec(made))
    except PluginError as error:  # those messages know the name, but not the package
        own = f"Architecture '{made.name}'"
        raise PluginError(
            f"{what}{str(error).removeprefix(own)}" if str(error).startswith(own) else f"{what}: {error}"
        ) from error


def _check_exporter(made: Any, what: str) -> None:
    from tina_framework.interfaces.exporter import INT8

    missing = [name for name in ("write", "load") if not callable(getattr(made, name, None))]
    if missing or isinstance(made, type):
        raise PluginError(
            f"{what} is {shorten(made)}, which has no {f'method {missing[0]}()' if missing else 'instance'}; "
            "return an object with suffix, int8, modules and the methods write, load."
        )
    suffix = getattr(made, "suffix", None)
    if not isinstance(suffix, str) or (suffix and not suffix.startswith(".")):
        raise PluginError(f"{what}: suffix is {shorten(suffix)}; it must begin with '.', or be empty for a folder.")
    if getattr(made, "int8", None) not in INT8:
        raise PluginError(
            f"{what}: int8 is {shorten(getattr(made, 'int8', None))}; it must be one of {', '.join(INT8)}."
        )
    modules = getattr(made, "modules", None)
    if not isinstance(modules, tuple | list) or not all(isinstance(name, str) and name for name in modules):
        raise PluginError(
            f"{what}: modules is {shorten(modules)}; it must be a tuple of module names, such as ('onnx',)."
        )
