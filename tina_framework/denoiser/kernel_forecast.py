"""A kernel regression from the conditioning vector of a class to its row.

Shapes: E condition width, S landmarks, D width of a class row.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["KernelForecast", "kernel_ridge", "kernel_values"]


class KernelForecast(nn.Module):
    """Forecasts the row of each class from its similarity to S known classes, the landmarks.

    With the conditioning vector c of a class, landmarks x_1..x_S and coefficients a_1..a_S:

    (1) k_s = exp(g * (cos(c, x_s) - 1))
    (2) row = sum_s k_s a_s

    Equation (1) is the kernel exp(x . y) of unit vectors, scaled so that k(x, x) = 1. `kernel_ridge` computes the coefficients in
    closed form (Saunders et al., ICML 1998). Landmarks and coefficients are parameters, so training can continue from there.

    Why it helps: a linear map is too stiff for a thousand classes, and a transformer that is trained on a thousand classes
    remembers them. The kernel interpolates between similar classes, so it also serves classes that are not among the known ones.

    Args:
        condition_dim: E.
        num_landmarks: S.
        row_width: D.
        sharpness: g > 0. Larger values attend to fewer landmarks.
    """

    def __init__(self, condition_dim: int, num_landmarks: int, row_width: int, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.landmarks = nn.Parameter(torch.empty(num_landmarks, condition_dim))
        self.coefficients = nn.Parameter(torch.empty(num_landmarks, row_width))

    def reset_parameters(self) -> None:
        """Draw the landmarks at random, and set the coefficients to zero, so that the first forecast is zero."""
        nn.init.normal_(self.landmarks)
        nn.init.zeros_(self.coefficients)

    def forward(self, condition: Tensor) -> Tensor:
        """Compute (2): conditioning vectors (..., E) -> rows (..., D)."""
        return kernel_values(condition, self.landmarks, self.sharpness) @ self.coefficients


def kernel_values(first_NE: Tensor, second_SE: Tensor, sharpness: float) -> Tensor:
    """Compute (1) for all pairs of vectors: (..., N, E) and (S, E) -> (..., N, S)."""
    cosines = F.normalize(first_NE, dim=-1) @ F.normalize(second_SE, dim=-1).T
    return torch.exp(sharpness * (cosines - 1.0))


def kernel_ridge(inputs_SE: Tensor, targets_SD: Tensor, sharpness: float, penalty: float) -> Tensor:
    """Fit the coefficients A = (K + penalty I)^-1 Y, with the landmarks as examples.

    Args:
        inputs_SE: conditioning vectors.
        targets_SD: class rows Y.
        sharpness: g of (1).
        penalty: above 0; K has ones on its diagonal.

    Returns:
        (S, D) float32.
    """
    inputs, targets = inputs_SE.double(), targets_SD.double()
    kernel = kernel_values(inputs, inputs, sharpness)
    kernel.diagonal().add_(penalty)
    coefficients: Tensor = torch.linalg.solve(kernel, targets)
    return coefficients.float()
