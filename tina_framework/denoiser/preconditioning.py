"""What the denoiser is shown of a noisy sample.

Shapes: B batch, P tokens, D token width, T training timesteps.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["model_input"]


def model_input(noisy_BPD: Tensor, t_B: Tensor, alphas_cumprod_T: Tensor, prediction_type: str) -> Tensor:
    """x_t as the network reads it.

    A network that predicts x0 gets sqrt(alpha_bar_t) x_t, the best linear guess of x0 from x_t where x0 has unit variance
    (which standardised parameters have). At t = T - 1, where x_t says nothing, it then sees next to nothing instead of
    noise of full size, which it would first have to learn to ignore. Other prediction types need the noise and get x_t.

    Args:
        noisy_BPD: x_t of unit variance, after a scheduler's `scale_model_input`.
        t_B: (B,) timesteps, whole or fractional.
        alphas_cumprod_T: of the process.
        prediction_type: ``sample``, ``epsilon``, ``v_prediction`` or ``flow_prediction``.
    """
    if prediction_type != "sample":
        return noisy_BPD
    rates = alphas_cumprod_T.to(noisy_BPD).sqrt()
    return noisy_BPD * rates[t_B.round().long().clamp(0, len(rates) - 1)].view(-1, 1, 1)
