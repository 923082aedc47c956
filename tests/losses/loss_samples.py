"""Outputs, labels and masks that the tests of losses share."""

import numpy as np

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(5, 4)) * 2
LABELS = np.eye(4)[[0, 3, 1, 2, 2]]
SOFT = RANDOM.dirichlet(np.ones(4), size=5)
MASK = np.array([[1, 1, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]], bool)  # the last: nothing
SATURATED = np.array([[1e4, -1e4, 0, 0], [-1e4, 1e4, 0, 1], [1e4, 1e4, -1e4, -1e4], [-1e4, -1e4, -1e4, -1e4]])
SATURATED_LABELS = np.eye(4)[[0, 0, 1, 2]]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
