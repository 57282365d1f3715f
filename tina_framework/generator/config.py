"""A generator's configuration, stored as `config.json`: plain JSON values and registry names, never import paths."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tina_framework.classifier.abstention import AbstentionThresholds
from tina_framework.denoiser.presets import MAX_CLASSES, DenoiserConfig
from tina_framework.errors import CheckpointError, ConfigError, shorten
from tina_framework.images import fit_settings, read_fit_settings
from tina_framework.interfaces.class_names import checked_names
from tina_framework.interfaces.whole_numbers import MAX_TIMESTEPS
from tina_framework.prompts.familiarity import Familiarity

__all__ = ["FORMAT", "FORMAT_VERSION", "GeneratorConfig"]

FORMAT = "tina-generator"
FORMAT_VERSION = 1

_MAX_VALUE = 1e30
"""Larger than any useful number, and within the range of float32. JSON may hold integers of any size."""

_MAX_TEMPLATES = 1000

_TEXTS = ("architecture", "default_encoder")
_COUNTS = ("max_classes", "num_inference_steps", "min_classes")
_NAMED = ("tokenizer", "scheduler")
_OF_ARCHITECTURE = {"whitened", "trained", "validation", "metrics", "relative"}


@dataclass(frozen=True)
class GeneratorConfig:
    """Everything about a generator except its tensors.

    Attributes:
        architecture: registry name of the target architecture.
        tokenizer: ``{"name": registry name, "config": {...}}``.
        scheduler: the default scheduler in the same form, with the noise process that the denoiser was trained for.
        denoiser: the sizes of the denoiser.
        condition: the condition space, ``{"space": id, "scale": number, "templates": [...]}``; its mean is a tensor. Also
            ``"recall": {"classes": S, "temperature": number, "strength": number}`` if class rows are retrieved
            (`tina_framework.prompts.row_retrieval`), and ``"open_vocabulary": true`` if the vectors of any words are read as they
            are. The landmarks of the denoiser's kernel forecast are then the conditions of `class_names`, in this order.
        default_encoder: spec of the encoder that is used unless another one is given.
        max_classes: largest class count of a task.
        class_names: all classes of the training data, in the order of the generic model's outputs.
        num_inference_steps: default number of denoising steps.
        min_classes: smallest class count of a task.
        initial_noise: whether sampling starts from noise; False: a plain regressor, which takes one step from zeros.
        whitened: the weights whose differences the denoiser predicts in whitened coordinates; their factors are tensors
            (`tina_framework.denoiser.whitening`).
        preprocessing: ``{"fit": ...}``, and ``crop_pct`` if it is not 1: how the training pictures were brought to the size of the
            architecture. Generated classifiers do the same; see `tina_framework.images.fit_picture`.
        training: how it was trained: recipe, its hash, commit, data and validation figures, as any JSON values.
        metrics: accuracy of generated models: encoder -> split -> class count -> fraction of 1.
        abstention: thresholds below which generated models may abstain; None: not calibrated.
        architectures: if the generator writes several: name -> ``{"whitened": [...], "trained": bool}``, and perhaps
            ``"validation"`` (figures of the training run) and ``"metrics"``, which replace `whitened` and `metrics`. One that was
            not trained has ``"relative": {"architecture": name, "filters": share, "rows": share}``: it is written as that wider
            network of its family, and these shares of the prediction count.
            `architecture` is the one that is written by default. Empty: it writes `architecture` only.
        familiarity: encoder -> how likely a class is known, given its similarity to the known names; encoders that are
            not listed use built-in values.

    Raises:
        ConfigError: a value has the wrong type or range.
    """

    architecture: str
    tokenizer: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    denoiser: DenoiserConfig
    condition: Mapping[str, Any]
    default_encoder: str
    max_classes: int
    class_names: tuple[str, ...]
    num_inference_steps: int = 20
    min_classes: int = 2
    initial_noise: bool = True
    whitened: tuple[str, ...] = ()
    preprocessing: Mapping[str, Any] = field(default_factory=fit_settings)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    abstention: AbstentionThresholds | None = None
    architectures: Mapping[str, Any] = field(default_factory=dict)
    familiarity: Mapping[str, Familiarity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = checked_names(self.class_names, "Generator setting class_names", ConfigError)
        object.__setattr__(self, "class_names", names)
        for name in _TEXTS:
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ConfigError(f"Generator setting {name}={shorten(getattr(self, name))} is not a name.")
        for name in _COUNTS:
            value = getattr(self, name)
            least, most = (1, MAX_TIMESTEPS) if name == "num_inference_steps" else (2, MAX_CLASSES)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ConfigError(
                    f"Generator setting {name}={shorten(value)} is not an integer from {least} to {most:,}."
                )
        if not isinstance(self.initial_noise, bool):
            raise ConfigError(f"Generator setting initial_noise={shorten(self.initial_noise)} is not true or false.")
        if not self.initial_noise and self.num_inference_steps != 1:
            raise ConfigError(
                f"num_inference_steps={self.num_inference_steps}, but a regressor (initial_noise=false) takes one step."
            )
        if not isinstance(self.whitened, list | tuple) or not all(isinstance(name, str) for name in self.whitened):
            raise ConfigError(f"Generator setting whitened={shorten(self.whitened)} is not a list of names.")
        object.__setattr__(self, "whitened", tuple(self.whitened))
        if self.min_classes > self.max_classes:
            raise ConfigError(f"min_classes={self.min_classes} is above max_classes={self.max_classes}.")
        for name in _NAMED:
            value = getattr(self, name)
            if not isinstance(value, Mapping) or set(value) != {"name", "config"} or not isinstance(value["name"], str):
                raise ConfigError(
                    f'Generator setting {name}={shorten(value)} is not of the form {{"name": ..., "config": {{...}}}}.'
                )
            if not isinstance(value["config"], Mapping) or not all(isinstance(key, str) for key in value["config"]):
                raise ConfigError(
                    f"The config of generator setting {name} is {shorten(value['config'])}, not named settings."
                )
        if not isinstance(self.denoiser, DenoiserConfig):
            raise ConfigError(f"Generator setting denoiser={shorten(self.denoiser)} is not a DenoiserConfig.")
        if self.denoiser.max_classes < self.max_classes:
            raise ConfigError(
                f"max_classes={self.max_classes}, but the denoiser was built for {self.denoiser.max_classes} at most."
            )
        self._check_architectures()
        self._check_condition()
        read_fit_settings(self.preprocessing)
        for name in ("training", "metrics"):
            _check_json(name, getattr(self, name))
        if self.abstention is not None and not isinstance(self.abstention, AbstentionThresholds):
            raise ConfigError(
                f"Generator setting abstention={shorten(self.abstention)} is not an AbstentionThresholds."
            )
        if not all(isinstance(value, Familiarity) for value in self.familiarity.values()):
            raise ConfigError(
                f"Generator setting familiarity={shorten(self.familiarity)} has a value that is not a Familiarity."
            )

    def _check_architectures(self) -> None:
        if not isinstance(self.architectures, Mapping):
            raise ConfigError(f"Generator setting architectures={shorten(self.architectures)} is not a table.")
        if bool(self.architectures) != bool(self.denoiser.descriptor_size):
            raise ConfigError(
                "Generator setting architectures needs a denoiser that reads descriptors of tokens, and such a denoiser needs the setting."
            )
        if not self.architectures:
            return
        _check_json("architectures", self.architectures)
        if self.architecture not in self.architectures:
            raise ConfigError(
                f"Generator setting architecture={shorten(self.architecture)} is not one of its architectures: "
                f"{', '.join(self.architectures)}."
            )
        for name, entry in self.architectures.items():
            if not isinstance(entry, Mapping) or not {"whitened", "trained"} <= set(entry) <= _OF_ARCHITECTURE:
                raise ConfigError(
                    f"Generator setting architectures has the entry {shorten(name)}: {shorten(entry)}; it needs whitened and trained, and "
                    "may have validation, metrics and relative."
                )
            whitened = entry["whitened"]
            if not isinstance(whitened, list | tuple) or not all(isinstance(weight, str) for weight in whitened):
                raise ConfigError(
                    f"Architecture {shorten(name)} has whitened={shorten(whitened)}, not a list of names."
                )
            if not isinstance(entry["trained"], bool):
                raise ConfigError(
                    f"Architecture {shorten(name)} has trained={shorten(entry['trained'])}; it must be true or false."
                )
            self._check_relative(name, entry.get("relative"))

    def _check_relative(self, name: str, relative: Any) -> None:
        if relative is None:
            return
        if self.architectures[name]["trained"]:
            raise ConfigError(
                f"Architecture {shorten(name)} was trained, but has relative={shorten(relative)}; only one that was not trained is "
                "written as a relative."
            )
        if not isinstance(relative, Mapping) or set(relative) != {"architecture", "filters", "rows"}:
            raise ConfigError(
                f"Architecture {shorten(name)} has relative={shorten(relative)}; it needs exactly architecture, filters and rows."
            )
        of = self.architectures.get(relative["architecture"]) if isinstance(relative["architecture"], str) else None
        if of is None or of.get("trained") is not True or of.get("relative") is not None:
            raise ConfigError(
                f"Architecture {shorten(name)} has the relative {shorten(relative['architecture'])}, which is no trained architecture "
                "of this generator."
            )
        for part in ("filters", "rows"):
            share = relative[part]
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ConfigError(f"Architecture {shorten(name)} has {part}={shorten(share)}, not a share from 0 to 1.")

    def _check_condition(self) -> None:
        condition = self.condition
        if not isinstance(condition, Mapping) or set(condition) - {"recall", "open_vocabulary"} != {
            "space",
            "scale",
            "templates",
        }:
            raise ConfigError(
                f"Generator setting condition={shorten(condition)} needs exactly space, scale and templates (and perhaps recall or "
                "open_vocabulary)."
            )
        is_open = condition.get("open_vocabulary", False)
        if not isinstance(is_open, bool):
            raise ConfigError(f"The condition's open_vocabulary is {shorten(is_open)}; it must be true or false.")
        if is_open and self.denoiser.num_landmarks != len(self.class_names):
            raise ConfigError(
                f"The condition's open_vocabulary needs one landmark for each of the {len(self.class_names)} class names, but the "
                f"denoiser has {self.denoiser.num_landmarks}."
            )
        self._check_recall(condition.get("recall"))
        scale = condition["scale"]
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < _MAX_VALUE:
            raise ConfigError(f"The condition's scale is {shorten(scale)}; it must be a number above 0.")
        if not isinstance(condition["space"], str) or not isinstance(condition["templates"], list | tuple):
            raise ConfigError("The condition's space must be a name, and its templates a list.")
        if len(condition["templates"]) > _MAX_TEMPLATES or not all(isinstance(t, str) for t in condition["templates"]):
            raise ConfigError(f"The condition's templates must be at most {_MAX_TEMPLATES:,} texts.")

    def _check_recall(self, recall: Any) -> None:
        if recall is None:
            return
        names = {"classes", "temperature", "strength"}
        if not isinstance(recall, Mapping) or set(recall) != names:
            raise ConfigError(
                f"The condition's recall is {shorten(recall)}; it needs exactly classes, temperature and strength."
            )
        for name in names:
            value = recall[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _MAX_VALUE:
                raise ConfigError(
                    f"The {name} of the condition's recall is {shorten(value)}; it must be a number above 0."
                )
        if not isinstance(recall["classes"], int) or not self.denoiser.given_row:
            raise ConfigError("The condition's recall needs a whole number of classes, and a denoiser with given_row.")

    @property
    def open_vocabulary(self) -> bool:
        """Whether the vectors of any words are read as they are, and not projected onto those of the known names."""
        return bool(self.condition.get("open_vocabulary", False))

    def to_dict(self) -> dict[str, Any]:
        """Return the contents of `config.json`."""
        values: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION}
        for entry in dataclasses.fields(self):
            values[entry.name] = getattr(self, entry.name)
        values["denoiser"] = self.denoiser.to_dict()
        if self.initial_noise:
            # Left out at its default, so that older versions of this program can read the folder.
            del values["initial_noise"]
        for name in ("whitened", "architectures"):
            if not values[name]:
                del values[name]
        if self.abstention is None:
            del values["abstention"]
        else:
            values["abstention"] = self.abstention.to_dict()
        values["familiarity"] = {encoder: found.to_json() for encoder, found in self.familiarity.items()}
        if not self.familiarity:
            del values["familiarity"]
        plain: dict[str, Any] = json.loads(json.dumps(values, allow_nan=False, default=_plain))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "The configuration") -> GeneratorConfig:
        """Return the configuration that `to_dict` described.

        Args:
            values: the contents of `config.json`.
            source: the subject of error messages, e.g. the file.

        Raises:
            CheckpointError: a setting is unknown, missing or out of range.
        """
        given = {key: value for key, value in values.items() if key not in ("format", "format_version")}
        fields = dataclasses.fields(cls)
        unknown = sorted(given.keys() - {entry.name for entry in fields})
        required = {
            f.name for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        }
        # Always written, so that a folder without it is one whose pictures may have been fitted in another way.
        missing = sorted((required | {"preprocessing"}) - given.keys())
        if unknown or missing:
            parts = [
                f"has unknown {', '.join(shorten(name)[1:-1] for name in unknown[:5])}" if unknown else "",
                f"lacks {', '.join(missing)}" if missing else "",
            ]
            raise CheckpointError(
                f"{source} {' and '.join(p for p in parts if p)}; it was altered, or another program wrote it."
            )
        try:
            if not isinstance(given["denoiser"], Mapping):
                raise ConfigError(
                    f"Generator setting denoiser={shorten(given['denoiser'])} is not a table of settings."
                )
            given["denoiser"] = DenoiserConfig.from_dict(given["denoiser"])
            if "abstention" in given:
                given["abstention"] = AbstentionThresholds.from_dict(given["abstention"])
            if "familiarity" in given:
                given["familiarity"] = _familiarities(given["familiarity"])
            return cls(**given)
        except ConfigError as error:
            raise CheckpointError(f"{source} is wrong: {error}") from error

    def for_architecture(self, name: str) -> GeneratorConfig:
        """Return the configuration with another default architecture, one of `architectures`."""
        return self if name == self.architecture else dataclasses.replace(self, architecture=name)

    def whitened_weights(self, architecture: str) -> tuple[str, ...]:
        """Return the weights of an architecture whose differences are predicted in whitened coordinates."""
        return tuple(self.architectures[architecture]["whitened"]) if self.architectures else self.whitened

    def relative_of(self, architecture: str) -> str | None:
        """Return the architecture as whose relative another one is written; None if it is written as itself."""
        found = self.architectures.get(architecture, {}).get("relative")
        return None if found is None else str(found["architecture"])

    def shares(self, architecture: str) -> tuple[float, float]:
        """Return which shares of the predicted filters and class rows count for an architecture."""
        found = self.architectures[architecture].get("relative") or {"filters": 1.0, "rows": 1.0}
        return float(found["filters"]), float(found["rows"])

    def validation_accuracy(self, architecture: str) -> float | None:
        """Return the accuracy on validation tasks that training recorded for an architecture, as a fraction of 1."""
        source = self.architectures[architecture] if self.architectures else self.training
        figures = source.get("validation")
        value = figures.get("accuracy") if isinstance(figures, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            return None
        return float(value)

    @property
    def trained_encoders(self) -> tuple[str, ...]:
        """The encoders whose vectors the generator was trained on, as the training record names them."""
        names = self.training.get("encoders")
        return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list | tuple) else ()

    def accuracy(self, encoder: str, num_classes: int) -> dict[str, float]:
        """Return the recorded accuracy of generated models by split, as fractions of 1; empty if nothing was recorded.

        Args:
            encoder: spec of the encoder; a record without the part after the colon also counts.
            num_classes: class count of the tasks.
        """
        metrics = self.architectures[self.architecture].get("metrics", {}) if self.architectures else self.metrics
        if not isinstance(metrics, Mapping):
            return {}
        splits = metrics.get(encoder, metrics.get(encoder.partition(":")[0], {}))
        if not isinstance(splits, Mapping):
            return {}
        found = {}
        for split, counts in splits.items():
            value = counts.get(str(num_classes)) if isinstance(counts, Mapping) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MAX_VALUE:
                found[str(split)] = float(value)
        return found


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{shorten(value)} cannot be written as JSON")


def _check_json(name: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(f"Generator setting {name}={shorten(value)} is not a table.")
    try:
        json.dumps(value, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Generator setting {name} cannot be written as JSON ({error}).") from error


def _familiarities(values: Any) -> dict[str, Familiarity]:
    if not isinstance(values, Mapping) or not all(isinstance(encoder, str) for encoder in values):
        raise ConfigError(f"Generator setting familiarity={shorten(values)} is not a table of encoders.")
    return {encoder: Familiarity.from_json(lines, f"encoder {shorten(encoder)}") for encoder, lines in values.items()}
