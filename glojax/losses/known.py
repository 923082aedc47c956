"""The known losses that fit an output, each with several values of its one coefficient.

They are what a found loss has to beat: the best of them, at its own best learning rate, is the strongest baseline that
needs no search. Nearly all are trees, which train together in one program.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from glojax.expressions import parsing
from glojax.losses import zoo
from glojax.losses.loss import Loss, LossFunction
from glojax.losses.outputs import Output
from glojax.losses.zoo_of_numbers import ZOO_OF_NUMBERS


class KnownLoss(NamedTuple):
    """A known loss with a value of its coefficient."""

    name: str  # of the loss
    coefficient: str  # its value in words, "" for a loss that has none
    loss: LossFunction

    @property
    def label(self) -> str:
        """The name with the coefficient."""
        return f"{self.name}, {self.coefficient}" if self.coefficient else self.name


def known_losses(output: Output, classes: int = 2, spread: float = 1.0) -> list[KnownLoss]:
    """The known losses for an output.

    Powers of a probability are those that trees have: generalized cross-entropy has q of 0.25, 0.5, 0.75 and 1, which
    is the absolute error.

    Args:
      output: what makes predictions of a network's outputs.
      classes: number of classes, for label smoothing. Defaults to 2.
      spread: of the targets of a regression, above 0, the unit of the losses that have one. Defaults to 1.

    Returns:
      The losses, each label once.
    """
    if output == "softmax":
        return [*_of_true_class(_one_sided, output, classes), *_others_of_softmax()]
    if output == "sigmoid":
        return [*_of_true_class(_two_sided, output, 2), *_others_of_sigmoid()]
    return _of_numbers(output, spread)


def weighted_cross_entropy(output: Output, weights: np.ndarray) -> LossFunction:
    """Cross-entropy in which classes have weights.

    Args:
      output: softmax, or a sigmoid of a single output.
      weights: of the classes ``[classes]``, or of the labels 0 and 1 of that output ``[1, 2]``.
    """
    if output == "softmax":
        return functools.partial(zoo.class_weighted_cross_entropy, weights=tuple(weights.tolist()))
    ((of_0, of_1),) = weights.tolist()
    return _tree(f"{of_1!r} * (x * log(y)) + {of_0!r} * ((1 - x) * log(1 - y))", output)


def _tree(expression: str, output: Output) -> Loss:
    return Loss(*parsing.parse_with_coefficients(expression), output=output)


def _one_sided(term: str) -> str:
    """A term of the true class as f(x, y) of softmax, where ``{p}`` is its probability and ``{q}`` is 1 - p."""
    return f"x * ({term.format(p='y', q='(1 - y)')})"


def _two_sided(term: str) -> str:
    """The same of a sigmoid, whose other class has the probability 1 - y."""
    return f"{_one_sided(term)} + (1 - x) * ({term.format(p='(1 - y)', q='y')})"


_POWERS = {"0.25": "sqrt(sqrt({p}))", "0.5": "sqrt({p})", "0.75": "sqrt({p}) * sqrt(sqrt({p}))", "1": "{p}"}
_FOCI = {"1": "{q}", "2": "square({q})", "4": "square(square({q}))"}


def _of_true_class(sides: Callable[[str], str], output: Output, classes: int) -> list[KnownLoss]:
    """Losses of the probability p of the true class."""

    def made(term: str) -> Loss:
        return _tree(sides(term), output)

    known = [KnownLoss("cross-entropy", "", made("log({p})"))]
    for share in (0.05, 0.1, 0.2, 0.4):
        other = share / classes
        known.append(KnownLoss("label smoothing", f"smoothing {share:g}", _smoothed(1 - share, other, output)))
    known += [KnownLoss("focal", f"gamma {gamma}", made(f"{part} * log({{p}})")) for gamma, part in _FOCI.items()]
    for epsilon in (1, 2, 4):
        known.append(KnownLoss("PolyLoss", f"epsilon {epsilon}", made(f"log({{p}}) - {epsilon} * {{q}}")))
    known += [KnownLoss("generalized cross-entropy", f"q {q}", made(power)) for q, power in _POWERS.items()]
    for weight in (10, 40):
        name, value = "symmetric cross-entropy", f"reverse part {weight} times"
        known.append(KnownLoss(name, value, made(f"log({{p}}) - {weight} * {{q}}")))
    brier = _tree("-1 * square(x - y)", output)
    return [*known, KnownLoss("Brier", "", brier)]


def _smoothed(share: float, other: float, output: Output) -> Loss:
    """Cross-entropy of labels ``share * x + other``."""
    x = f"({share!r} * x + {other!r} * 1)"
    if output == "softmax":
        return _tree(f"{x} * log(y)", output)
    rest = f"({share!r} * (1 - x) + {other!r} * 1)"
    return _tree(f"{x} * log(y) + {rest} * log(1 - y)", output)


def _others_of_softmax() -> list[KnownLoss]:
    return [
        KnownLoss("Baikal", "", zoo.baikal),
        KnownLoss("BaikalCMA", "", zoo.baikal_cma),
        KnownLoss("Taylor (MNIST)", "", zoo.taylor_mnist),
        KnownLoss("next-generation", "", zoo.next_generation),
    ]


def _others_of_sigmoid() -> list[KnownLoss]:
    baikal = _tree("log(y) - x / y + (log(1 - y) - (1 - x) / (1 - y))", "sigmoid")
    known = [KnownLoss("Baikal", "", baikal)]
    for weight in (2, 5, 20):
        expression = f"{weight} * (x * log(y)) + (1 - x) * log(1 - y)"
        known.append(KnownLoss("weighted cross-entropy", f"ones {weight} times", _tree(expression, "sigmoid")))
    return known


def _of_numbers(output: Output, spread: float) -> list[KnownLoss]:
    """Losses of residuals. ``axis=()`` leaves a value for each output, so that unknown ones can be left out."""

    def made(name: str, **given: float) -> LossFunction:
        return functools.partial(ZOO_OF_NUMBERS[name], axis=(), output=output, **given)

    known = [
        KnownLoss("squared error", "", _tree("-1 * square(x - y)", output)),
        KnownLoss("absolute error", "", made("absolute_error")),
    ]
    for times in (0.3, 1.0, 3.0):
        known.append(KnownLoss("Huber", f"delta {times:g} spreads", made("huber", delta=times * spread)))
    for times in (0.3, 1.0, 3.0):
        known.append(KnownLoss("log-cosh", f"scale {times:g} spreads", made("log_cosh", scale=times * spread)))
    known += [
        KnownLoss("quantile", f"share {share:g}", made("quantile", share=share)) for share in (0.1, 0.25, 0.75, 0.9)
    ]
    return known
