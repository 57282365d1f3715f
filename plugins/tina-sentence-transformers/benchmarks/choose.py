"""Compare kinds of projection on the validation names: linear, kernels, and small networks.

    python benchmarks/choose.py --rows choice-unseen.npz --names validation.txt

It prints a table. Cross-validation on the fitted rows chooses the settings of the linear map and the kernels. The networks have one
hidden layer, GELU and dropout 0.2, and train for 40 epochs of AdamW with a cosine schedule and seed 0. Their weight decay is the
best of three on the validation names, which favours them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tina_sentence_transformers.fitting import figures
from tina_sentence_transformers.model import MINILM, SentenceModel, find_model
from tina_sentence_transformers.ridge import FOLDS, cross_validate, fit
from tina_sentence_transformers.rows import families, read_names, read_rows, share_of

Floats = npt.NDArray[np.float64]


def network(x: Floats, v: Floats, query: Floats, hidden: int, decay: float) -> Floats:
    """Train a small network and return its predictions for `query`."""
    torch.manual_seed(0)
    mean, deviation = v.mean(axis=0), float((v - v.mean(axis=0)).std())
    inputs = torch.from_numpy((x - x.mean(axis=0)) / x.std()).float()
    targets = torch.from_numpy((v - mean) / deviation).float()
    net = nn.Sequential(nn.Linear(x.shape[1], hidden), nn.GELU(), nn.Dropout(0.2), nn.Linear(hidden, v.shape[1]))
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=decay)
    epochs, batch = 40, 128
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(x) // batch))
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(batch):
            loss = (net(inputs[rows]) - targets[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.inference_mode():
        output = net.eval()(torch.from_numpy((query - x.mean(axis=0)) / x.std()).float())
    result: Floats = output.double().numpy() * deviation + mean
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--names", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = read_rows(options.rows)
    order = np.array(sorted(range(len(rows.names)), key=lambda row: share_of(rows.names[row], "landmark ")))
    held_out = np.zeros(len(rows.names), dtype=bool)
    held_out[rows.find(read_names(options.names), str(options.names))] = True
    chosen, query = order[~held_out[order]], np.flatnonzero(held_out)
    v = rows.vectors_TME[0]
    folds = [share_of(key, "fold ") for key in families([rows.names[row] for row in chosen])]
    fold_of = (np.array(folds) * FOLDS).astype(np.intp)
    nobody = np.zeros(len(chosen), dtype=bool)
    model = SentenceModel(find_model(MINILM))
    print("| what the sentence model reads | projection | mean cosine | own is nearest | own among nearest 5 |")
    print("|---|---|---|---|---|")

    def row(prompt: str, what: str, predicted: Floats) -> None:
        found: dict[str, Any] = figures(predicted, v[query], v[chosen].mean(axis=0))
        print(
            f"| `{prompt}` | {what} | {found['cosine']:.3f} | {found['own_is_nearest']:.1%} | "
            f"{found['own_among_nearest_5']:.1%} |",
            flush=True,
        )

    for prompt in ("{}", "a {}", "a photo of a {}"):
        x = model.embed([prompt.replace("{}", name) for name in rows.names], batch=64)
        for what, landmarks in (("linear", 0), ("kernel, 500 landmarks", 500), ("kernel, 1,000 landmarks", 1000)):
            settings = cross_validate(x[chosen], v[chosen], landmarks, nobody, fold_of)[0]
            row(prompt, what, fit(x[chosen], v[chosen], settings, nobody).predict(x[query]))
        if prompt == "a {}":
            everything = len(chosen)
            settings = cross_validate(x[chosen], v[chosen], everything, nobody, fold_of)[0]
            row(prompt, "kernel, all rows", fit(x[chosen], v[chosen], settings, nobody).predict(x[query]))
            for hidden in (256, 1024):
                tried = [network(x[chosen], v[chosen], x[query], hidden, decay) for decay in (0.01, 0.1, 0.3)]
                best = max(tried, key=lambda p: figures(p, v[query], v[chosen].mean(axis=0))["cosine"])
                row(prompt, f"network, {hidden} hidden units", best)


if __name__ == "__main__":
    main()
