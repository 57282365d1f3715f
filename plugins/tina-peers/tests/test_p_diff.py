"""The autoencoder is frozen in the second phase, and sampling ends at the prediction."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tina_peers.inputs import TaskInputs
from tina_peers.p_diff import PDiff, PDiffSettings
from tina_peers.peer import Peer
from tina_peers.setup import Setup
from tina_peers.training import Run

MakePeer = Callable[..., tuple[Peer, Setup]]


def test_the_phases_train_other_parts(make_peer: MakePeer) -> None:
    peer, setup = make_peer("p-diff", steps=8)
    run = Run(peer, setup, {})

    def parts() -> dict[str, torch.Tensor]:
        return {name: p.detach().clone() for name, p in peer.named_parameters()}

    start = parts()
    for _ in range(4):
        run.advance()
    middle = parts()
    coder = {name for name in start if "coder" in name}
    assert {name for name in start if not torch.equal(start[name], middle[name])} == coder
    run.advance()  # starts from the averaged weights
    frozen = parts()
    for _ in range(3):
        run.advance()
    assert {name for name, p in parts().items() if not torch.equal(p, frozen[name])} == start.keys() - coder


def test_latent_vectors_are_standardised(make_peer: MakePeer) -> None:
    peer, setup = make_peer("p-diff")
    assert isinstance(peer, PDiff)
    peer.begin_phase(1, setup.all_p_models())
    shared = torch.cat([batch.shared for batch in setup.all_p_models()])
    with torch.no_grad():
        latents = peer.shared_coder.encode(shared)
    torch.testing.assert_close(latents.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(latents.std(0), torch.ones(4))


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
def test_ddim_arrives_at_a_latent_vector_that_is_predicted_exactly(
    make_setup: Callable[..., Setup], prediction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = make_setup("p-diff")
    peer = setup.peer(PDiff, PDiffSettings(4, 3, 8, hidden=16, prediction=prediction, sampling_steps=10))
    assert isinstance(peer, PDiff)
    clean = torch.linspace(-1, 1, 4).expand(2, 4), torch.linspace(-1, 1, 3).expand(2, 3, 3)

    def predict(shared: Tensor, rows: Tensor, times: Tensor, inputs: TaskInputs) -> tuple[Tensor, Tensor]:
        kept = peer.kept_T[times[0]]
        if prediction == "sample":
            return clean
        noise = [(x - kept.sqrt() * c) / (1 - kept).sqrt() for x, c in zip((shared, rows), clean, strict=True)]
        return noise[0], noise[1]

    monkeypatch.setattr(peer, "_predict", predict)
    classes = [setup.class_names[:3], setup.class_names[3:6]]
    conditions = torch.stack([setup.conditions.of(names) for names in classes])
    inputs = TaskInputs(classes, conditions, [torch.Generator().manual_seed(i) for i in range(2)])
    with torch.no_grad():
        shared, rows = peer.generate(inputs)
        torch.testing.assert_close(shared, peer.shared_coder.decode(clean[0]), atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(rows, peer.row_coder.decode(clean[1]), atol=1e-3, rtol=1e-3)
