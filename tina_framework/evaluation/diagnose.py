"""Find the stage at which a generator fails. Every stage from a stored p-Model to a sampled network gets its accuracy.

A generator that gives bad networks may have a token layout that loses parameters, a denoiser that has not learnt, or a
sampler that spoils what the denoiser predicts. Every stage here starts from the zoo's p-Models. The first stage whose
accuracy drops is the one to look at.
Shapes: N parameters, P tokens, D token width, K classes, T timesteps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tina_framework.denoiser.preconditioning import model_input
from tina_framework.evaluation.scoring import Scorer
from tina_framework.evaluation.statistics import paired, summarize
from tina_framework.generator.options import SamplingOptions
from tina_framework.generator.scheduler import trained_process
from tina_framework.interfaces.class_names import fold
from tina_framework.interfaces.method import MethodUnavailable, Network
from tina_framework.interfaces.noise_process import NoiseProcess
from tina_framework.prompts.encoded_task import encode_task

if TYPE_CHECKING:
    from tina_framework.interfaces.method import Context
    from tina_framework.zoo.entries import ZooEntry

__all__ = ["Diagnosis", "Stage", "diagnose", "verdict"]

LOSS = 0.01
"""A stage fails if it costs more accuracy than this on average (a fraction of 1)."""

LITTLE_NOISE = 0.25
"""Share of the timesteps, from 0, at which there is so little noise that a denoiser should restore the p-Model."""


@dataclass(frozen=True)
class Stage:
    """One stage: its name and one accuracy (a fraction of 1) for each task."""

    name: str
    accuracies: tuple[float, ...]


@dataclass(frozen=True)
class Diagnosis:
    """All stages over the same tasks.

    Attributes:
        stages: ``p-model`` comes first, ``selection`` last.
        timesteps: the timesteps of the stages ``denoised from t = ...``, in rising order, out of `num_timesteps`.
        round_trip: the greatest change of a parameter by tokens and standardisation, divided by the greatest
            parameter.
    """

    stages: tuple[Stage, ...]
    timesteps: tuple[int, ...]
    num_timesteps: int
    round_trip: float

    def stage(self, name: str) -> Stage:
        """Return the stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)

    def to_json(self) -> dict[str, Any]:
        base = self.stages[0].accuracies
        rows = [
            {
                "stage": stage.name,
                "accuracy": summarize(list(stage.accuracies)).to_json(),
                **({} if index == 0 else {"minus_p_model": paired(list(stage.accuracies), list(base)).to_json()}),
            }
            for index, stage in enumerate(self.stages)
        ]
        return {
            "format": "tina-diagnosis",
            "format_version": 1,
            "num_tasks": len(base),
            "num_train_timesteps": self.num_timesteps,
            "round_trip": self.round_trip,
            "stages": rows,
            "verdict": verdict(self),
        }


def verdict(found: Diagnosis) -> str:
    """Return one sentence that names the first stage that fails, or says that no stage does."""

    def mean(name: str) -> float:
        accuracies = found.stage(name).accuracies
        return sum(accuracies) / len(accuracies)

    model = mean("p-model")
    if mean("round trip") < model - LOSS or found.round_trip > 1e-3:
        return (
            "The round trip fails: tokenizer and normalizer do not restore the network "
            f"(a change of {found.round_trip:.1e}); check the tokenizer's layout with `tina plugins check`."
        )
    sampled, last = mean("sampled"), mean(_from(found.timesteps[-1]))
    fine = f"sampled networks reach {100 * sampled:.1f} %, the p-Models {100 * model:.1f} %"
    little = [t for t in found.timesteps if t < LITTLE_NOISE * found.num_timesteps and mean(_from(t)) < model - LOSS]
    if little:
        lost = (
            f"{100 * (model - mean(_from(little[0]))):.1f} points worse from t = {little[0]} of {found.num_timesteps}"
        )
        if sampled >= model - LOSS:
            return (
                f"Sampling works: {fine}. But the denoiser does not restore p-Models from little noise ({lost}). "
                "It generates other networks than the zoo's, as a denoiser trained mostly on the task loss does."
            )
        return (
            f"The denoiser fails: it does not restore p-Models from little noise ({lost}); "
            "train it longer, or with more weight on the denoising loss."
        )
    if sampled < last - LOSS:
        return (
            f"The sampler fails: one step from pure noise reaches {100 * last:.1f} %, "
            f"the whole loop {100 * sampled:.1f} %; use fewer steps or another scheduler."
        )
    if sampled < mean("selection") - LOSS:
        return (
            f"No single stage fails, but sampled networks ({100 * sampled:.1f} %) are worse than selection "
            f"({100 * mean('selection'):.1f} %): the denoiser uses the prompt too little; train it longer."
        )
    return f"No stage fails: {fine}."


def _from(t: int) -> str:
    return f"denoised from t = {t}"


def diagnose(
    context: Context,
    scorer: Scorer,
    *,
    num_tasks: int = 20,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Diagnosis:
    """Measure p-Models of the zoo after every stage.

    Args:
        context: generator, zoo, encoder, and the seed of the noise.
        scorer: the images to measure on.
        num_tasks: how many p-Models, evenly spaced in the zoo.
        on_progress: called with (p-Models done, p-Models).

    Raises:
        MethodUnavailable: there is no zoo, or no p-Model of a class count that the generator makes.
        TinaError: a name cannot be encoded, or a network is not finite.
    """
    generator, zoo = context.generator, context.need_zoo()
    config = generator.config
    fitting = [e for e in zoo.entries if config.min_classes <= len(e.classes) <= config.max_classes]
    if not fitting:
        raise MethodUnavailable(
            f"the zoo '{zoo.folder.name}' has no p-Model of {config.min_classes} to {config.max_classes} classes"
        )
    number = min(num_tasks, len(fitting))
    entries = [fitting[i * len(fitting) // number] for i in range(number)]
    forward = trained_process(config)
    total = len(forward.alphas_cumprod)
    timesteps = tuple(sorted({round(share * (total - 1)) for share in (0.02, 0.1, 0.25, 0.5, 0.75, 1.0)}))
    walk = _Walk(context, forward, timesteps)
    found: dict[str, list[float]] = {}
    change = 0.0
    for done, entry in enumerate(entries, start=1):
        classes, networks, moved = walk.stages(entry)
        change = max(change, moved)
        for name, flat in networks.items():
            found.setdefault(name, []).append(scorer.accuracy(Network(flat, classes), classes))
        on_progress(done, number)
    stages = tuple(Stage(name, tuple(values)) for name, values in found.items())
    return Diagnosis(stages, timesteps, total, change)


class _Walk:
    """Takes one p-Model after the other through all stages.

    Args:
        forward: the noise process, with `add_noise` and `predict_original_sample`.
        timesteps: the timesteps to denoise from.
    """

    def __init__(self, context: Context, forward: NoiseProcess, timesteps: Sequence[int]) -> None:
        self.context, self.generator, self.spec = context, context.generator, context.spec
        self.forward, self.timesteps = forward, timesteps
        self.zoo = context.need_zoo()

    @torch.no_grad()
    def stages(self, entry: ZooEntry) -> tuple[tuple[str, ...], dict[str, Tensor], float]:
        """Take one p-Model through all stages.

        Returns:
            The classes in the order of their keys, the network (N,) of each stage, and the greatest change of a
            parameter by the round trip.
        """
        generator, spec, count = self.generator, self.spec, len(entry.classes)
        # Networks are generated in this order of classes. A layout that depends on the order would fail in another one.
        order = sorted(range(count), key=lambda k: fold(entry.classes[k]))
        classes = tuple(entry.classes[k] for k in order)
        state = spec.select_classes(spec.unflatten(self.zoo.flat(entry.id), count), torch.tensor(order))
        model = spec.flatten(state, count)
        layout, device = generator.layout(count), generator.device
        clean = layout.gather(generator.normalizer.normalize(model, count)[None])
        networks = {"p-model": model, "round trip": self._network(clean, count)}
        moved = float((networks["round trip"] - model).abs().max() / model.abs().max().clamp(min=1e-12))
        condition = encode_task(classes, self.context.encoder, self.context.template)
        vectors = generator.condition_space.denoiser_input(condition.vectors)[None].to(device)
        mask = torch.ones(vectors.shape[:2], dtype=torch.bool, device=device)
        encoded = generator.denoiser.encode(vectors, mask)
        draws = torch.Generator().manual_seed(self.context.seed * 1_000_003 + entry.id)
        # What is added to the result of sampling is no part of what is sampled.
        fixed = generator.with_rows(torch.zeros_like(clean, device=device), vectors, layout)
        alphas = torch.as_tensor(self.forward.alphas_cumprod, device=device)
        kind = self.forward.prediction_type
        for t in self.timesteps:
            t_B = torch.tensor([t], device=device)
            noise = torch.randn(clean.shape, generator=draws).to(device)
            noisy = self.forward.add_noise(clean.to(device) - fixed, noise, t_B)
            seen = model_input(self.forward.scale_model_input(noisy, t_B), t_B, alphas, kind)
            predicted = generator.denoiser.denoise(seen, t_B, encoded, layout, mask)
            x0 = self.forward.predict_original_sample(predicted, t_B, noisy)
            networks[_from(t)] = self._network((x0 + fixed).cpu(), count)
        [sampled] = generator.generate_parameters([condition], SamplingOptions(seed=self.context.seed))
        networks["sampled"] = sampled.cpu()
        rows = torch.tensor([self.zoo.class_names.index(name) for name in classes])
        networks["selection"] = spec.flatten(spec.select_classes(self.zoo.generic, rows), count).float()
        return classes, networks, moved

    def _network(self, tokens_1PD: Tensor, count: int) -> Tensor:
        generator = self.generator
        flat: Tensor = generator.normalizer.denormalize(generator.layout(count).scatter(tokens_1PD).float(), count)[0]
        return flat
