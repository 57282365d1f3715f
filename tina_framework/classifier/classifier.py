"""`GeneratedClassifier`: a small network with its class names and preprocessing. It works without the generator.

Shapes: N pictures, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tina_framework.classifier.card import ACCURACY
from tina_framework.classifier.folder import (
    FORMAT,
    ClassifierConfig,
    check_dtype,
    check_has_trunk,
    find_folder,
    read_folder,
    replaceable,
    write_folder,
)
from tina_framework.classifier.predictor import NONE_OF_THESE, Predictor
from tina_framework.errors import printable
from tina_framework.images import Preprocessing
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.storage.hub import HubAccess, check_repo_id, upload
from tina_framework.storage.paths import user_path
from tina_framework.targets.device import resolve_device
from tina_framework.targets.ensemble import Ensemble, build_network, member_names
from tina_framework.targets.saved_trunk import SavedTrunk

if TYPE_CHECKING:
    from tina_framework.classifier.exporting.export import ExportReport
    from tina_framework.classifier.fine_tuning.data import FineTuneData
    from tina_framework.classifier.fine_tuning.settings import FineTuneSettings, HeadSettings

__all__ = ["FORMAT", "NONE_OF_THESE", "GeneratedClassifier", "replaceable"]

_NAMES_SHOWN = 6
"""How many class names `repr` shows."""


class GeneratedClassifier(Predictor):
    """A network for the classes that it was generated for.

    Args:
        network: a module that the architecture built, or an `Ensemble` of them. It returns logits (N, K) of pictures (N, C, H, W),
            or of the features of the architecture's frozen trunk.
        architecture: the architecture, or its registry name. A frozen trunk is used only if the object is given.
        class_names: K names; output k belongs to `class_names[k]`.
        preprocessing: how pictures are turned into the input.
        provenance: how the classifier was made (generator, seed, steps, encoder, ...): any JSON values.
        abstention_threshold: pictures whose score is lower may be answered with "none of these"; None: the threshold is unknown.

    Raises:
        ConfigError: a class name is empty, too long or not printable, or occurs twice; the threshold is not finite; or
            the provenance has no form in JSON.
    """

    def __repr__(self) -> str:
        """Return the classes, and what kind of network tells them apart. `print(model.network)` shows its layers."""
        names = [_brief(name) for name in self.class_names[:_NAMES_SHOWN]]
        more = len(self.class_names) - len(names)
        _, height, width = self.preprocessing.input_shape
        networks = "" if self.members is None else f"{len(self.members)} networks of "
        trunk = "" if self.trunk is None else f" behind the frozen {self.trunk.name}"
        where = f"{str(self.dtype).removeprefix('torch.')} on {self.device}"
        maker = self.provenance.get("generator")
        made = f", made by {_brief(maker)}" if isinstance(maker, str) else ""
        tuned = " and fine-tuned" if made and "fine_tuning" in self.provenance else ""
        return (
            f"GeneratedClassifier({len(self.class_names)} classes: {', '.join(names)}{f' and {more} more' if more else ''};\n"
            f"  {networks}{self.architecture}{trunk}, {self.num_parameters:,} parameters ({where}), "
            f"pictures of {width} x {height}{made}{tuned})"
        )

    @classmethod
    def from_state(
        cls,
        architecture: TargetArchitecture,
        class_names: Sequence[str],
        state: Mapping[str, Tensor],
        provenance: Mapping[str, Any] | None = None,
        abstention_threshold: float | None = None,
        members: Sequence[Sequence[int]] | None = None,
    ) -> GeneratedClassifier:
        """Return a classifier with copies of generated parameters, on their device.

        Args:
            architecture: builds the network.
            class_names: K names.
            state: the parameters, under the architecture's names. For an ensemble, with the prefixes ``members.0.``, ``members.1.``, ...
            provenance: as for the class.
            abstention_threshold: as for the class.
            members: the class indices of each network of an ensemble; None: one network for all classes.

        Raises:
            ConfigError: `members` do not fit the classes.
        """
        network = build_network(architecture, len(class_names), state, members)
        preprocessing = Preprocessing.of(architecture)
        return cls(network, architecture, class_names, preprocessing, provenance, abstention_threshold)

    @property
    def num_parameters(self) -> int:
        """The number of generated parameters, without those of a frozen trunk."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    @property
    def members(self) -> tuple[tuple[int, ...], ...] | None:
        """The class indices of each network of an ensemble; None: one network for all classes."""
        return self.network.groups if isinstance(self.network, Ensemble) else None

    @property
    def class_tensors(self) -> frozenset[str]:
        """The names of the parameters that grow with the number of classes; the others are shared by all classes."""
        architecture = self._architecture or registries().architectures.create(self.architecture)
        names = [name for name, axis in ParameterSpec(architecture).class_axes.items() if axis is not None]
        if self.members is None:
            return frozenset(names)
        return frozenset(name for index in range(len(self.members)) for name in member_names(index, names))

    def fine_tune(
        self,
        images: Any,
        labels: Any,
        *,
        settings: FineTuneSettings | HeadSettings | None = None,
        seed: int = 0,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> GeneratedClassifier:
        """Return a new classifier, fine-tuned on a few pictures. This one is not changed. See docs/how-to/fine-tuning.md.

        Args:
            images: pictures as `predict` takes them, at least one of every class. With `HeadSettings`, two classes are enough, and
                classes without pictures keep their rows.
            labels: one per picture: class names, or indices into `class_names`.
            settings: how to fine-tune. Default: `HeadSettings()` if the network is one linear or cosine head on a frozen trunk;
                else `FineTuneSettings.for_pictures` of the median number of pictures per class.
            seed: the same seed, pictures and settings give the same classifier. `HeadSettings` need no random numbers.
            on_progress: called with (steps done, steps).

        Returns:
            A classifier whose `provenance` has one more entry in the list ``fine_tuning``. A frozen trunk stays frozen. The
            classifier has no threshold to abstain by, because fine-tuning changes the scores.

        Raises:
            DataError: a picture is unreadable, a label is not a class, a class has no picture, or the lengths differ.
            TrainingError: the loss is not finite.
        """
        from tina_framework.classifier.fine_tuning.data import FineTuneData

        return self.fine_tuned_on(FineTuneData.prepare(self, images, labels, settings, seed), on_progress)

    def fine_tuned_on(self, data: FineTuneData, on_progress: Callable[[int, int], None]) -> GeneratedClassifier:
        """Return a new classifier, as `fine_tune` does, from pictures that `FineTuneData.prepare` has read."""
        network = data.train(on_progress=on_progress)
        # The recorded accuracy is that of networks as they were generated.
        kept = {key: value for key, value in self.provenance.items() if key != ACCURACY}
        provenance = {**kept, "fine_tuning": [*self.provenance.get("fine_tuning", ()), data.record()]}
        return GeneratedClassifier(
            network, self._architecture or self.architecture, self.class_names, self.preprocessing, provenance
        )

    def save_pretrained(
        self, folder: str | Path, *, include_trunk: bool | None = None, dtype: str | torch.dtype | None = None
    ) -> None:
        """Write `config.json`, `model.safetensors` and a model card, atomically. An existing classifier folder is replaced.

        The tensors have the architecture's names, so that the plain module can load them without this package. Those of an
        ensemble have the prefixes ``members.0.``, ``members.1.``, ... The name of a frozen trunk and the hash of its weights are
        recorded, and its plugin must be installed to load the folder. A card in the folder that was edited by hand is kept.

        Args:
            folder: where to write.
            include_trunk: also write the weights of the frozen trunk, to `trunk.safetensors`. Loading the folder then needs the
                code of the trunk's plugin, but not the package with its weights. None: if the classifier was loaded with them.
            dtype: ``float16`` stores weights in half the space. They are computed with in float32 after loading. None: float32.

        Raises:
            ConfigError: the folder holds something else, there is no trunk to include, or the dtype is another one.
            CheckpointError: a parameter is not finite, or too large for the dtype.
        """
        self._write(user_path(folder), include_trunk, dtype)

    def _write(
        self, folder: Path, include_trunk: bool | None, dtype: str | torch.dtype | None, hub_id: str | None = None
    ) -> None:
        stored = check_dtype(dtype)
        architecture = self._architecture or self.architecture
        if include_trunk is None:
            include_trunk = self.trunk is not None and isinstance(self.trunk.build, SavedTrunk)
        elif include_trunk:
            check_has_trunk(self.architecture, self.trunk)
        config = ClassifierConfig(
            architecture, self.class_names, self.preprocessing, self.provenance, self.abstention_threshold, self.members
        )
        state = self.network.state_dict()
        write_folder(folder, config, state, include_trunk=include_trunk, dtype=stored, hub_id=hub_id)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        token: str | None = None,
        private: bool | None = None,
        commit_message: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        include_trunk: bool | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> str:
        """Upload the folder that `save_pretrained` writes, and return the address of the commit or of the pull request.

        A card that somebody edited on the Hub is kept. See docs/how-to/hub.md.

        Args:
            repo_id: ``owner/name``. The repository is created if it does not exist.
            token: an access token that may write; None: the one of `hf auth login` or of ``HF_TOKEN``.
            private: whether a new repository is private; None: as the owner's settings say.
            commit_message: None: "Upload the model".
            revision: the branch to commit to, which is created if it does not exist; None: ``main``.
            create_pr: open a pull request in place of committing.
            include_trunk: as for `save_pretrained`.
            dtype: as for `save_pretrained`.

        Raises:
            ConfigError, CheckpointError: as for `save_pretrained`.
            DownloadError: the Hub cannot be reached or refuses.
        """
        check_repo_id(repo_id)
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "classifier"
            self._write(folder, include_trunk, dtype, repo_id)
            return upload(
                folder,
                repo_id,
                token=token,
                private=private,
                commit_message=commit_message,
                revision=revision,
                create_pr=create_pr,
            )

    def export(
        self,
        path: str | Path,
        format: str,
        *,
        int8: Any = None,
        pictures: Any = None,
        labels: Any = None,
        min_agreement: float = 0.98,
    ) -> ExportReport:
        """Write the classifier for a program without this package, load it again, and compare the answers.

        The file takes pictures (N, H, W, 3) uint8 that are cropped and scaled already, and returns logits (N, K). Standardisation
        and a frozen trunk are inside. What it needs besides is in its metadata. See docs/how-to/export.md.

        Args:
            path: the file, or the folder for formats that write several files. An earlier export is replaced.
            format: a name of `tina_framework.list_exporters`.
            int8: compute with 8-bit integers, whose ranges are chosen on these pictures. None: floating point.
            pictures: on which to compare. None: those of `int8`, else made-up pictures.
            labels: of `pictures`, as for `fine_tune`; the accuracy of both is measured.
            min_agreement: with `int8`, the smallest share of equal answers. In floating point all answers have to agree.

        Raises:
            ConfigError: the format is unknown, cannot hold this network, or needs pictures; or the place holds something else.
            DataError: a picture or label is not valid.
            DependencyError: a package of the format is not installed.
            ExportError: the network cannot be converted, or the file does not answer as the classifier does. In all these
                cases nothing is written.
        """
        from tina_framework.classifier.exporting.export import export_classifier

        return export_classifier(
            self, user_path(path), format, int8=int8, pictures=pictures, labels=labels, min_agreement=min_agreement
        )

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        device: str | torch.device = "cpu",
        *,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> GeneratedClassifier:
        """Load a folder that `save_pretrained` wrote, or one on the Hub that `push_to_hub` uploaded.

        Args:
            name: an existing folder or a Hub id, ``owner/name`` or ``owner/name@revision``. A text is searched in this order; a
                `Path` is a folder.
            device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: a GPU if there is one.
            revision: branch, tag or commit of the Hub repository.
            token: an access token of the Hub; None: the one of `hf auth login` or of ``HF_TOKEN``.
            cache_dir: folder of downloads; None: the Hub client's own.
            local_files_only: do not ask the Hub; use what was downloaded before.

        Raises:
            ConfigError: the machine has no such device; or a revision is given for something that has none.
            CheckpointError: the folder is something else, incomplete or altered.
            DownloadError: the Hub repository could not be downloaded.
        """
        place = resolve_device(device)
        folder = find_folder(name, revision, HubAccess(token, cache_dir, local_files_only))
        config, architecture, state = read_folder(folder)
        classifier = cls.from_state(
            architecture, config.class_names, state, config.provenance, config.abstention_threshold, config.members
        )
        classifier.preprocessing = config.preprocessing
        return classifier.to(place)


def _brief(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= 40 else f"{text[:37]}..."
