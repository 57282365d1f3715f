"""Train the frozen trunk of `resnet20-head`: ResNet-20 on the training split of a data set, with batch norm folded at the end.

Run it from the root of the project. If it is stopped and started again, it continues after the last complete epoch:

    python plugins/tina-resnet/trunk/train.py --dataset arrays:DATA --work work/trunk

The first epochs use pictures of half the size, which costs a quarter of the time. The network ends in an average over the picture, so
any size works. No choice was made on test images.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework import registries
from tina_framework.images import Preprocessing
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.storage.files import read_metadata, read_safetensors, write_safetensors
from tina_framework.targets.functional import autocast
from tina_resnet.resnet20 import FEATURES, Trunk, fold, trainable_trunk

OUT = Path(__file__).resolve().parent.parent / "tina_resnet" / "weights" / "resnet20-cifar100.safetensors"


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Return the random generator of one epoch. It depends on seed and epoch alone, so that resuming needs no state."""
    return torch.Generator().manual_seed(seed * 1_000_003 + epoch)


def augment(batch: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Mirror half of the pictures, and shift each by up to `shift` pixels. The gap is filled with the mean colour."""
    flips = torch.rand(len(batch), generator=generator) < 0.5
    batch = torch.where(flips.view(-1, 1, 1, 1), batch.flip(-1), batch)
    size = batch.shape[-1]
    padded = F.pad(batch, (shift,) * 4)
    tops, lefts = torch.randint(2 * shift + 1, (2, len(batch)), generator=generator)
    span = torch.arange(size)
    rows, columns = (tops[:, None] + span), (lefts[:, None] + span)
    picked = padded.permute(0, 2, 3, 1)[torch.arange(len(batch))[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)  # channels_last, in which these convolutions are faster


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    network.eval()
    right = sum(
        int((network(part).argmax(1) == truth).sum())
        for part, truth in zip(images.split(500), labels.split(500), strict=True)
    )
    network.train()
    return right / len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--small-epochs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    dataset = registries().datasets.create(args.dataset)
    prepare = Preprocessing.of(TargetArchitecture("resnet20", lambda _: nn.Identity()))
    data, held = dataset.load("train"), dataset.load("validation")
    images, labels = prepare(data.images), torch.from_numpy(data.labels.astype(np.int64))
    small = F.avg_pool2d(images, 2)
    validation, truth = prepare(held.images), torch.from_numpy(held.labels.astype(np.int64))

    torch.manual_seed(args.seed)
    network = nn.Sequential(trainable_trunk(), nn.Linear(FEATURES, len(dataset.class_names)))
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=args.lr, momentum=0.9, nesterov=True, weight_decay=args.weight_decay
    )
    names = [name for name, _ in network.named_parameters()]
    per_epoch = len(images) // args.batch_size
    total, warmup = per_epoch * args.epochs, per_epoch
    partial, identity = args.work / "trunk.partial.safetensors", repr(sorted(vars(args).items()))
    first = 0
    if partial.is_file() and read_metadata(partial).get("identity") == identity:
        first = int(read_metadata(partial)["epoch"])
        stored = read_safetensors(partial)
        state = {n.removeprefix("state."): t for n, t in stored.items() if n.startswith("state.")}
        network.load_state_dict(state)
        for name, parameter in network.named_parameters():
            optimizer.state[parameter]["momentum_buffer"] = stored[f"momentum.{name}"].clone()
        print(f"Continuing after epoch {first}.", flush=True)

    network.train()
    began = time.monotonic()
    for epoch in range(first, args.epochs):
        source, shift = (small, 2) if epoch < args.small_epochs else (images, 4)
        generator = epoch_generator(args.seed, epoch)
        order = torch.randperm(len(source), generator=generator)
        loss_sum = 0.0
        for index in range(per_epoch):
            step = epoch * per_epoch + index
            rising, falling = (step + 1) / warmup, 0.5 * (1 + np.cos(np.pi * max(0, step - warmup) / (total - warmup)))
            for group in optimizer.param_groups:
                group["lr"] = args.lr * (rising if step < warmup else falling)
            rows = order[index * args.batch_size : (index + 1) * args.batch_size]
            batch = augment(source[rows], shift, generator)
            with autocast(batch.device, "auto"):
                output = network(batch)
            loss = F.cross_entropy(output.float(), labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss_sum += float(loss.detach())
        stored = {f"state.{n}": t.contiguous() for n, t in network.state_dict().items()}
        momenta = [optimizer.state[p]["momentum_buffer"].contiguous() for p in network.parameters()]
        stored |= {f"momentum.{n}": t for n, t in zip(names, momenta, strict=True)}
        write_safetensors(partial, stored, {"epoch": str(epoch + 1), "identity": identity})
        cost = [0.25 if e < args.small_epochs else 1.0 for e in range(args.epochs)]
        spent = time.monotonic() - began
        left = spent / sum(cost[first : epoch + 1]) * sum(cost[epoch + 1 :])
        seen = source is images
        score = f"{100 * accuracy(network, validation if seen else F.avg_pool2d(validation, 2), truth):.1f} %"
        print(
            f"Epoch {epoch + 1}/{args.epochs} at {source.shape[-1]} pixels: loss {loss_sum / per_epoch:.3f}, "
            f"validation {score}, {spent / 60:.1f} min, about {left / 60:.0f} min left",
            flush=True,
        )

    trunk = Trunk()
    trunk.load_state_dict(fold(network[0].state_dict()))
    folded = accuracy(nn.Sequential(trunk, network[1]), validation, truth)
    write_safetensors(args.out, {n: t.contiguous() for n, t in trunk.state_dict().items()}, {"format": "pt"})
    print(
        f"Wrote {args.out.name}: {100 * folded:.1f} % of the validation pictures among all {len(dataset.class_names)} classes."
    )


if __name__ == "__main__":
    main()
