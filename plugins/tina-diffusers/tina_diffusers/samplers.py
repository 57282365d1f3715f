"""The samplers, one class for each name. Each names the scheduler of diffusers that it uses, and its settings."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tina_diffusers.adapter import DiffusersSampler, of_diffusers

__all__ = [
    "DEIS",
    "DPMSolverMultistep",
    "DPMSolverMultistepSDE",
    "DPMSolverSinglestep",
    "Euler",
    "EulerAncestral",
    "FlowMatchEuler",
    "SASolver",
    "UniPC",
]


class DPMSolverMultistep(DiffusersSampler):
    """`dpmsolver-multistep`: DPM-Solver++(2M) (Lu et al., arXiv 2211.01095, algorithm 2)."""

    scheduler: ClassVar[str] = "DPMSolverMultistepScheduler"
    fixed: ClassVar[dict[str, Any]] = {"algorithm_type": "dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"}


class DPMSolverMultistepSDE(DiffusersSampler):
    """`dpmsolver-multistep-sde`: the stochastic SDE-DPM-Solver++(2M) (arXiv 2211.01095, appendix)."""

    scheduler: ClassVar[str] = "DPMSolverMultistepScheduler"
    fixed: ClassVar[dict[str, Any]] = {**DPMSolverMultistep.fixed, "algorithm_type": "sde-dpmsolver++"}


class DPMSolverSinglestep(DiffusersSampler):
    """`dpmsolver-singlestep`: DPM-Solver++(2S) (arXiv 2211.01095, algorithm 1); S is the number of network evaluations."""

    scheduler: ClassVar[str] = "DPMSolverSinglestepScheduler"
    # For odd S diffusers switches lower_order_final on by itself, with a warning.
    fixed: ClassVar[dict[str, Any]] = {**DPMSolverMultistep.fixed, "lower_order_final": True}

    def _choose(self, num_inference_steps: int) -> Tensor:
        # It has no timestep_spacing, and for S close to T it would choose a timestep twice.
        total = len(self.alphas_cumprod)
        trailing_S = (
            np.round(total - np.arange(num_inference_steps) * (total / num_inference_steps)).astype(np.int64) - 1
        )
        self.inner.set_timesteps(timesteps=trailing_S.tolist())
        return torch.from_numpy(trailing_S)


class UniPC(DiffusersSampler):
    """`unipc`: the predictor-corrector UniPC-2 (Zhao et al., arXiv 2302.04867), with B(h) = exp(h) - 1."""

    scheduler: ClassVar[str] = "UniPCMultistepScheduler"
    fixed: ClassVar[dict[str, Any]] = {"solver_order": 2, "solver_type": "bh2", "final_sigmas_type": "zero"}


class DEIS(DiffusersSampler):
    """`deis`: the exponential integrator log-rho-AB-DEIS of order 2 (Zhang and Chen, arXiv 2204.13902)."""

    scheduler: ClassVar[str] = "DEISMultistepScheduler"
    fixed: ClassVar[dict[str, Any]] = {"solver_order": 2}


class SASolver(DiffusersSampler):
    """`sa-solver`: the stochastic Adams method SA-Solver (Xue et al., arXiv 2309.05019), noise at timesteps 200 to 800."""

    scheduler: ClassVar[str] = "SASolverScheduler"


class Euler(DiffusersSampler):
    """`euler`: Euler's method in x_t / sqrt(a_t) (Karras et al., arXiv 2206.00364, algorithm 2 without churn)."""

    scheduler: ClassVar[str] = "EulerDiscreteScheduler"

    def unit(self, timestep: int) -> Tensor | float:
        return self._rates(timestep)[0]


class EulerAncestral(Euler):
    """`euler-ancestral`: a longer Euler step, then fresh noise up to the next level."""

    scheduler: ClassVar[str] = "EulerAncestralDiscreteScheduler"
    predicts_sample: ClassVar[bool] = False


class FlowMatchEuler(DiffusersSampler):
    """`flow-match-euler-vp`: Euler's method along the straight paths of flow matching, (1 - s) x0 + s noise.

    Noise levels are 1, 1 - 1/S, ..., 1/S of the greatest, as pipelines of diffusers ask for, each moved to the nearest one
    that the network was trained on: s_t = sqrt(1 - a_t) / (sqrt(a_t) + sqrt(1 - a_t)).
    """

    scheduler: ClassVar[str] = "FlowMatchEulerDiscreteScheduler"

    def _make_inner(self, process: dict[str, Any]) -> Any:
        return of_diffusers(self.scheduler)(num_train_timesteps=process["num_train_timesteps"], shift=1.0)

    def _choose(self, num_inference_steps: int) -> Tensor:
        steps = np.arange(num_inference_steps)
        a_T = self.alphas_cumprod.double().numpy()
        levels_T = np.sqrt(1 - a_T) / (np.sqrt(a_T) + np.sqrt(1 - a_T))
        goals_S = levels_T[-1] * (1 - steps / num_inference_steps)
        nearest_S = np.abs(levels_T - goals_S[:, None]).argmin(axis=1)
        # Where two goals are nearest to one timestep (S close to T), the next free one below, or above at the end.
        falling_S = np.maximum(np.minimum.accumulate(nearest_S + steps) - steps, steps[::-1])
        self.inner.set_timesteps(sigmas=levels_T[falling_S].tolist())
        return torch.from_numpy(falling_S)

    def unit(self, timestep: int) -> Tensor | float:
        signal, sigma = self._rates(timestep)
        return signal + sigma

    def _converted(self, model_output: Tensor, x0: Tensor, timestep: int, sample: Tensor) -> Tensor:
        signal, sigma = self._rates(timestep)
        return (sample - signal * x0) / sigma - x0  # the velocity: noise - x0
