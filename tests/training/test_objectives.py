from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from tests.training.runs import draw
from tina_framework.config.training import TrainingConfig
from tina_framework.plugin.discovery import registries
from tina_framework.training.components import TrainingComponents, build_components
from tina_framework.training.objectives import DenoiseObjective, TaskObjective, loss_weights
from tina_framework.zoo.image_bank import load_split
from tina_framework.zoo.reservation import partition_of
from tina_framework.zoo.teacher import Teacher

Make = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


def parts(config: TrainingConfig) -> tuple[TrainingComponents, TaskObjective, DenoiseObjective]:
    components = build_components(config, CPU)
    with torch.no_grad():  # an untrained denoiser says zero to everything
        for i, parameter in enumerate(components.denoiser.parameters()):
            generator = torch.Generator().manual_seed(i)
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    task, denoise = components.objectives
    assert isinstance(task, TaskObjective)
    assert isinstance(denoise, DenoiseObjective)
    return components, task, denoise


def predict(components: TrainingComponents, rows: Any) -> torch.Tensor:
    return components.denoiser(
        rows.condition_BKE, rows.class_mask_BK, rows.noisy_BPD, rows.t_B, components.context.layout
    )  # type: ignore[no-any-return]


@pytest.mark.parametrize("prediction_type", ["sample", "epsilon", "v_prediction"])
def test_the_task_gradient_is_that_of_plain_autograd(make_config: Make, prediction_type: str) -> None:
    components, task, _ = parts(make_config(prediction_type=prediction_type))
    context, parameters = components.context, list(components.denoiser.parameters())
    rows = draw(task, 3, range(4), components.denoiser)
    assert {3, 4} == set(rows.class_mask_BK.sum(1).tolist())
    ours = torch.autograd.grad(task.losses(predict(components, rows), rows).mean(), parameters, allow_unused=True)

    predicted, losses = predict(components, rows), []
    for i, count in enumerate(rows.class_mask_BK.sum(1).tolist()):
        x0 = context.process.predict_original_sample(predicted[i : i + 1], rows.t_B[i], rows.noisy_BPD[i : i + 1])
        layout = components.tokenizer.layout(context.spec, count, 4)
        flat = context.normalizer.denormalize(layout.scatter(x0[:, : layout.num_tokens])[0], count)
        state = context.spec.unflatten(flat, count)
        with torch.device("meta"):
            module = context.spec.architecture.build(count)
        losses.append(
            F.cross_entropy(functional_call(module, state, (rows.extra["images"][i],)), rows.extra["labels"][i])
        )
    direct = torch.autograd.grad(torch.stack(losses).mean(), parameters, allow_unused=True)
    for mine, theirs in zip(ours, direct, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_task_rows_start_from_noise_or_from_the_own_forecast(make_config: Make) -> None:
    components, task, _ = parts(make_config(rollout_probability=0.5))
    rows = draw(task, 0, range(32), components.denoiser)
    noise = components.context.noise("task-noise", 0, range(32))
    fresh = rows.t_B == 999
    assert 4 < int(fresh.sum()) < 28
    assert torch.equal(rows.noisy_BPD[fresh], noise[fresh])
    # At little noise a rolled-out row is almost the forecast itself.
    with torch.no_grad():
        rows.noisy_BPD, late = noise, torch.full_like(rows.t_B, 999)
        seen = components.context.model_input(noise, late)
        forecast = components.denoiser(rows.condition_BKE, rows.class_mask_BK, seen, late, components.context.layout)
    again = draw(task, 0, range(32), components.denoiser)
    real = components.context.layout.element_mask(rows.class_mask_BK)
    a = components.context.process.alphas_cumprod[again.t_B[~fresh]].view(-1, 1, 1)
    left_over = (again.noisy_BPD[~fresh] - a.sqrt() * forecast[~fresh]) / (1 - a).sqrt()
    assert float(left_over[real[~fresh]].std()) == pytest.approx(1.0, abs=0.05)


def test_all_processes_run_the_denoiser_for_the_rollouts_of_one(make_config: Make) -> None:
    components, task, denoise = parts(make_config(rollout_probability=0.5))
    calls: list[int] = []
    hook = components.denoiser.register_forward_hook(lambda *_: calls.append(1))
    fresh = next(i for i in range(32) if int(draw(task, 0, [i], components.denoiser).t_B) == 999)
    rolls = next(i for i in range(32) if int(draw(task, 0, [i], components.denoiser).t_B) != 999)
    calls.clear()
    alone = draw(task, 0, [fresh], components.denoiser)
    assert calls == []
    beside = draw(task, 0, [fresh], components.denoiser, together=[fresh, rolls])
    assert calls == [1]
    assert torch.equal(alone.noisy_BPD, beside.noisy_BPD)
    draw(task, 0, [fresh], components.denoiser, together=[fresh])
    draw(denoise, 0, [fresh], components.denoiser, together=[fresh, rolls])
    assert calls == [1]
    hook.remove()


@pytest.mark.parametrize(("probability", "share"), [(0.0, 1.0), (1.0, 0.0)])
def test_rollout_probability_at_its_ends(make_config: Make, probability: float, share: float) -> None:
    components, task, _ = parts(make_config(rollout_probability=probability))
    rows = draw(task, 0, range(8), components.denoiser)
    assert float((rows.t_B == 999).float().mean()) == share


def test_tasks_are_of_the_train_partition_and_new_every_step(make_config: Make) -> None:
    components, task, _ = parts(make_config())
    drawn = [task.sampler.task(i) for i in range(40)]
    assert {partition_of(t.classes) for t in drawn} == {"train"}
    first, second = (draw(task, step, range(4), components.denoiser) for step in (0, 1))
    assert not torch.equal(first.condition_BKE, second.condition_BKE)


def test_rows_do_not_depend_on_how_the_batch_is_cut(make_config: Make) -> None:
    components, task, denoise = parts(make_config())
    for objective in (task, denoise):
        whole = draw(objective, 5, range(4), components.denoiser)
        halves = [draw(objective, 5, part, components.denoiser) for part in (range(2), range(2, 4))]
        for name in ("condition_BKE", "class_mask_BK", "t_B"):
            assert torch.equal(getattr(whole, name), torch.cat([getattr(h, name) for h in halves]))
        torch.testing.assert_close(whole.noisy_BPD, torch.cat([h.noisy_BPD for h in halves]))
        losses = [objective.losses(predict(components, h), h) for h in halves]
        torch.testing.assert_close(objective.losses(predict(components, whole), whole), torch.cat(losses))


def classes_of(components: TrainingComponents, rows: Any, row: int) -> tuple[str, ...]:
    """The class names a row was given, found by its conditions (no mixing, no noise)."""
    bank = components.context.conditions
    known = torch.stack([bank.of(bank.class_names, template) for template in (0, 1)])
    shown = rows.condition_BKE[row][rows.class_mask_BK[row]]
    nearest = torch.cdist(shown, known.flatten(0, 1)).argmin(dim=1) % len(bank.class_names)
    return tuple(bank.class_names[k] for k in nearest)


@pytest.mark.parametrize("prediction_type", ["sample", "epsilon", "v_prediction"])
@pytest.mark.parametrize("tokenizer", ["class-row", "chunk"])
def test_the_denoise_target_is_the_model_of_the_prompt(make_config: Make, prediction_type: str, tokenizer: str) -> None:
    config = make_config(
        prediction_type=prediction_type, tokenizer=tokenizer, template_mixing=False, condition_noise=0, beta_end=0.003
    )
    components, _, denoise = parts(config)
    context, spec = components.context, components.context.spec
    models = {frozenset(e.classes): e for e in components.zoo.entries}
    rows = draw(denoise, 0, range(8), components.denoiser)
    torch.testing.assert_close(denoise.losses(rows.extra["target"], rows), torch.zeros(8))
    clean = context.process.predict_original_sample(rows.extra["target"], rows.t_B, rows.noisy_BPD)
    flats = context.normalizer.denormalize(context.layout.scatter(clean), 4)
    for row in range(8):
        classes = classes_of(components, rows, row)
        entry = models[frozenset(classes)]
        order = torch.tensor([entry.classes.index(name) for name in classes])
        stored = spec.unflatten(components.zoo.flat(entry.id), len(classes))
        expected = spec.flatten(spec.select_classes(stored, order), len(classes))
        torch.testing.assert_close(spec.narrow(flats[row], 4, len(classes)), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("tokenizer", "shuffled"), [("class-row", False), ("chunk", True)])
def test_class_order_is_shuffled_only_where_it_matters(make_config: Make, tokenizer: str, shuffled: bool) -> None:
    components, _, denoise = parts(make_config(tokenizer=tokenizer, template_mixing=False, condition_noise=0))
    stored = {frozenset(e.classes): e.classes for e in components.zoo.entries}
    rows = draw(denoise, 0, range(60), components.denoiser)
    shown = [classes_of(components, rows, row) for row in range(60)]
    assert any(classes != stored[frozenset(classes)] for classes in shown) == shuffled
    assert any(classes == stored[frozenset(classes)] for classes in shown)


def test_every_row_weighs_the_same_and_padding_nothing(make_config: Make) -> None:
    components, _, denoise = parts(make_config())
    rows = draw(denoise, 0, range(12), components.denoiser)
    assert len(set(rows.class_mask_BK.sum(1).tolist())) == 2
    losses = denoise.losses(rows.extra["target"] + 2.0, rows)
    torch.testing.assert_close(losses, torch.full((12,), 4.0))
    real = components.context.layout.element_mask(rows.class_mask_BK)
    wild = rows.extra["target"] + torch.where(real, 0.0, 1e6)
    torch.testing.assert_close(denoise.losses(wild, rows), torch.zeros(12))


def test_snr_weights(make_config: Make) -> None:
    alphas = torch.tensor([0.99, 0.5, 0.1])
    snr = alphas / (1 - alphas)
    assert torch.equal(loss_weights(alphas, make_config()), torch.ones(3))
    expected = torch.tensor([1.0, 1.0 / 5, float(snr[2]) / 5])
    torch.testing.assert_close(loss_weights(alphas, make_config(snr_gamma=5)), expected)
    torch.testing.assert_close(
        loss_weights(alphas, make_config(snr_gamma=5, prediction_type="epsilon")), expected / snr
    )
    torch.testing.assert_close(
        loss_weights(alphas, make_config(snr_gamma=5, prediction_type="v_prediction")), expected / (snr + 1)
    )


def test_a_teacher_enters_the_task_loss(make_config: Make, world: Path, tmp_path: Path) -> None:
    dataset = registries().datasets.create(f"arrays:{world / 'data.npz'}")
    data = load_split(dataset, "train")
    logits = torch.randn(2, len(data), len(dataset.class_names), generator=torch.Generator().manual_seed(0))
    Teacher.of(data, dataset.class_names, logits, "a test", {}).save(tmp_path / "t.safetensors")
    settings = {"teacher": str(tmp_path / "t.safetensors"), "teacher_weight": 0.6, "teacher_temperature": 2.0}
    components, task, _ = parts(make_config(**settings))
    assert components.taught_by == "a test"
    assert "teacher" in components.fingerprints
    rows = draw(task, 3, range(4), components.denoiser)
    soft = rows.extra["soft"]
    # The logits are those of the drawn pictures and of the task's classes, in their order.
    drawn = task.draw(3, range(4)).tensors
    table = torch.cat([logits[0], logits[1]]).half()
    for i, count in enumerate(rows.class_mask_BK.sum(1).tolist()):
        columns = task.images.labels_of(task.sampler.task(3 * task.batch_size + i).classes)
        own = drawn["images"].view(4, -1)[i]
        assert torch.equal(soft.logits[i, :, :count], table[own][:, columns])
    plain = components.runner.task_loss(
        task.parameters(predict(components, rows), rows), rows.class_mask_BK, rows.extra["images"], rows.extra["labels"]
    )
    assert not torch.allclose(task.losses(predict(components, rows), rows), plain)


def test_images_are_shifted_by_whole_pixels_within_the_limit(make_config: Make) -> None:
    _, still, _ = parts(make_config())
    components, task, _ = parts(make_config(image_shift=2))
    before = draw(still, 3, range(2), components.denoiser).extra["images"]
    after = draw(task, 3, range(2), components.denoiser).extra["images"]
    assert torch.equal(after, draw(task, 3, range(2), components.denoiser).extra["images"])
    inside = slice(4, 28)
    moved = set()
    for was, now in zip(before.flatten(0, 1), after.flatten(0, 1), strict=True):
        shifts = [
            (y, x)
            for y in range(-2, 3)
            for x in range(-2, 3)
            if torch.equal(now[:, inside, inside], was[:, 4 + y : 28 + y, 4 + x : 28 + x])
        ]
        assert len(shifts) == 1
        moved.add(shifts[0])
    assert len(moved) > 3


def test_draws_of_a_task_share_everything_but_their_noise(make_config: Make) -> None:
    settings = {"rollout_probability": 0.5, "task_batch_size": 8, "image_shift": 2, "input_floor": 1}
    components, task, _ = parts(make_config(**settings, draws_per_task=4, joint_weight=0.25))
    rows = draw(task, 1, range(32), components.denoiser)
    plain = parts(make_config(**settings))[1]
    first = draw(plain, 1, range(0, 32, 4), components.denoiser)
    for name in ("condition_BKE", "class_mask_BK", "t_B", "noisy_BPD"):
        found, expected = getattr(rows, name), getattr(first, name)
        torch.testing.assert_close(found[::4], expected)  # the first of a group is the example of its place
        if name != "noisy_BPD":
            assert torch.equal(found, expected.repeat_interleave(4, 0))
    assert torch.equal(rows.extra["images"], first.extra["images"])
    assert torch.equal(rows.extra["labels"], first.extra["labels"])
    assert len({tuple(row.flatten().tolist()) for row in rows.noisy_BPD}) == 32
    assert 0 < int((rows.t_B == 999).sum()) < 32
    # A process that computes one group of the batch computes the same.
    part = draw(task, 1, range(4, 8), components.denoiser)
    torch.testing.assert_close(part.noisy_BPD, rows.noisy_BPD[4:8])
    assert torch.equal(part.extra["images"], rows.extra["images"][1:2])
    losses = task.losses(predict(components, rows), rows)
    torch.testing.assert_close(losses[4:8], task.losses(predict(components, part), part))
    flats = task.parameters(predict(components, part), part)
    same = components.runner.task_loss(
        flats, part.class_mask_BK, part.extra["images"], part.extra["labels"], None, 4, 0.25
    )
    torch.testing.assert_close(losses[4:8], same)


def test_a_draw_of_one_is_a_run_without_draws(make_config: Make) -> None:
    components, task, _ = parts(make_config(joint_weight=1.0))
    plain = parts(make_config())[1]
    mine, theirs = (draw(each, 2, range(4), components.denoiser) for each in (task, plain))
    assert torch.equal(mine.noisy_BPD, theirs.noisy_BPD)
    prediction = predict(components, mine)
    assert torch.equal(task.losses(prediction, mine), plain.losses(prediction, theirs))
