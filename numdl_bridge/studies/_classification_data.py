"""Data and weights of the classification study: MATLAB's peaks, two ellipses, networks."""

from __future__ import annotations

import numpy as np

CLASSES, WIDTH, LAYERS, T = 5, 8, 16, 4.0
"""The ResNet of the talk's course code: h = T / LAYERS = 1/4, activation sin."""
RELU_IN = (2, 5, 5, 5, 5, 10)
RELU_OUT = (5, 5, 5, 5, 10, 3)
"""Widths in and out of the layers of the course code's derivative test (smooth ReLU, h = 1)."""


def peaks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """MATLAB's `peaks`, elementwise."""
    return (
        3 * (1 - x) ** 2 * np.exp(-(x**2) - (y + 1) ** 2)
        - 10 * (x / 5 - x**3 - y**5) * np.exp(-(x**2) - y**2)
        - np.exp(-((x + 1) ** 2) - y**2) / 3
    )


def peaks_pixels(side: int = 256) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels of [-3, 3]^2 and their classes 0 ... 4: five bins of equal height.

    **Returns:** points `(2, side^2)`, heights `(side^2,)`, classes `(side^2,)`.
    """
    axis = np.linspace(-3.0, 3.0, side)
    x, y = (a.ravel() for a in np.meshgrid(axis, axis))
    z = peaks(x, y)
    edges = peaks_edges(z)
    # Bins are open below and closed above, with the lowest pixel put into the lowest bin.
    return np.stack([x, y]), z, np.searchsorted(edges, z, side="left")


def peaks_edges(z: np.ndarray) -> np.ndarray:
    """The four inner edges of the five bins of equal height."""
    low, high = z.min(), z.max()
    return low + np.arange(1, CLASSES) * (high - low) / CLASSES


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Labels `(n,)` as columns of the identity, `(classes, n)`."""
    return np.eye(classes)[:, labels]


def sample_peaks(points: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Equally many pixels of each class, drawn with replacement: Y `(2, points)`, C `(5, points)`.

    Column i belongs to class i mod 5, so that every leading part of the data is balanced.
    """
    pixels, _, classes = peaks_pixels()
    each = points // CLASSES
    chosen = [rng.choice(np.flatnonzero(classes == k), each) for k in range(CLASSES)]
    index = np.stack(chosen, axis=-1).ravel()
    return pixels[:, index], one_hot(classes[index], CLASSES)


def sample_ellipses(points: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`points` inside and as many in the ring around: Y `(2, 2 points)`, C `(2, 2 points)`.

    Radii U(0, 1) and 1 + U(0, 1), angles uniform, y scaled by 0.4. Column i is inside when i is
    even.
    """
    radius = np.stack([rng.random(points), 1 + rng.random(points)], axis=-1).ravel()
    angle = 2 * np.pi * rng.random(2 * points)
    labels = np.tile([0, 1], points)
    return np.stack([radius * np.cos(angle), 0.4 * radius * np.sin(angle)]), one_hot(labels, 2)


def resnet_shapes() -> tuple[list[tuple[int, int]], int]:
    """Shapes (out, in) of K_0 ... K_15 and the number of weights in K and b together."""
    shapes = [(WIDTH, 2)] + [(WIDTH, WIDTH)] * (LAYERS - 1)
    return shapes, sum(a * b for a, b in shapes) + WIDTH * LAYERS


def relu_shapes() -> tuple[list[tuple[int, int]], int]:
    """The same for the network of the derivative test."""
    shapes = list(zip(RELU_OUT, RELU_IN, strict=True))
    return shapes, sum(a * b for a, b in shapes) + sum(RELU_OUT)


def vec(*arrays: np.ndarray) -> np.ndarray:
    """The arrays' columns, one below the other."""
    return np.concatenate([a.ravel(order="F") for a in arrays])


def start_weights(rng: np.random.Generator) -> np.ndarray:
    """The course code's start: K_0 and K_1 N(0, 1) / sqrt(in out), K_j = K_1, b = 0, W N(0, 1)."""
    shapes, _ = resnet_shapes()
    first, second = (rng.standard_normal(s) / np.sqrt(s[0] * s[1]) for s in shapes[:2])
    b = np.zeros((WIDTH, LAYERS))
    W = rng.standard_normal((CLASSES, WIDTH + 1))
    return vec(first, *[second] * (LAYERS - 1), b, W)


def other_weights(rng: np.random.Generator) -> np.ndarray:
    """Weights of the size that training ends with, each layer its own, biases included."""
    shapes, _ = resnet_shapes()
    K = [rng.standard_normal(s) / np.sqrt(s[1]) for s in shapes]
    b = 0.5 * rng.standard_normal((WIDTH, LAYERS))
    return vec(*K, b, 2 * rng.standard_normal((CLASSES, WIDTH + 1)))
