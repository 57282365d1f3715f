"""Scale a noisy sample before the denoiser reads it.

Shapes: B batch, P tokens, D token width, T training timesteps.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["model_input"]


def model_input(
    noisy_BPD: Tensor, t_B: Tensor, alphas_cumprod_T: Tensor, prediction_type: str, floor: float = 0.0
) -> Tensor:
    """Return x_t as the network reads it.

    The noise process is x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps, with a_t the cumulative product of alphas (arXiv 2006.11239,
    equation 4). Standardised parameters x_0 have unit variance, so the best linear estimate of x_0 is

        E[x_0 x_t] / E[x_t^2] x_t = sqrt(a_t) x_t.

    A network that predicts x_0 reads this estimate. At the last timestep, where x_t contains almost no signal, the input is
    then almost zero. Otherwise the network would first have to learn to ignore noise of full size. This is an input scaling
    like c_in in arXiv 2206.00364, equation 7. Networks with another prediction type need the noise and read x_t itself.

    In the first step, networks of one prompt differ only by their noise, so the denoiser must see it. `floor` is the least factor.
    With 1, the denoiser reads x_t itself.

    Args:
        noisy_BPD: x_t of unit variance, after a scheduler's `scale_model_input`.
        t_B: (B,) timesteps, integers or not.
        alphas_cumprod_T: a_t of the noise process.
        prediction_type: ``sample``, ``epsilon``, ``v_prediction`` or ``flow_prediction``.
        floor: least factor on x_t with ``sample``, from 0 to 1 (`DenoiserConfig.input_floor`).

    Returns:
        (B, P, D)
    """
    if prediction_type != "sample":
        return noisy_BPD
    rates_T = alphas_cumprod_T.to(noisy_BPD).sqrt()
    if floor:
        rates_T = rates_T.clamp(min=floor)
    # Some schedulers have timesteps between the trained ones; they take the rate of the nearest.
    return noisy_BPD * rates_T[t_B.round().long().clamp(0, len(rates_T) - 1)].view(-1, 1, 1)
