"""Which losses are worth training, found out without a network, in stages that run on many trees at once.

A random tree is nearly always hopeless, and hopeless trees look alike. On a fixed probe batch of logits and labels most
have no finite gradient, or one that does not depend on the labels, or one that another tree has too; and most of the
rest do not even raise the accuracy of free logits. The last two stages follow AutoLoss-Zero (arXiv 2103.14026); its
sign of the derivative is not a stage here, because it would reject cross-entropy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from glojax.distributed import jax_settings
from glojax.expressions import context, programs
from glojax.expressions.trees import Tree
from glojax.losses.loss import LossFunction
from glojax.losses.outputs import Output
from glojax.seeds import named_random
from glojax.tasks.problems import KINDS, Kind
from glojax.tasks.task import Task
from glojax.training import gradients

_BATCH = 128  # candidates in one call, so that there is one program to compile
DESCENT_BATCH = 32
"""Trees that descend in one call; fewer come so far."""

_DIRECTIONS = 8
_DIGITS = 3
_DESCENT = optax.adam(0.1)
_DESCENT_STEPS = 100
_LEAST_RISE = 0.1

STAGES = ("finite", "guided", "distinct", "trainable")
"""The stages in their order, after the look for x and y. ``Screened.fingerprint`` or ``direction`` decide distinct."""


class Probe(NamedTuple):
    """What losses are tried on: outputs of a network, and targets that have nothing to do with them."""

    outputs: np.ndarray  # float32[samples, outputs]
    targets: np.ndarray  # float32[samples, outputs], the loss's x
    others: np.ndarray  # float32[samples, outputs], other targets
    directions: np.ndarray  # float32[directions, samples, outputs], whose projections tell gradients apart


def probe(classes: int = 10, samples: int = 100, seed: int = 0) -> Probe:
    """A probe for classes: logits of standard deviation 1, and equally many labels of every class."""
    random = named_random(seed, "probe")
    one_hot = np.eye(classes, dtype=np.float32)[np.arange(samples) % classes]
    return Probe(
        random.normal(size=(samples, classes)).astype(np.float32),
        one_hot,
        np.roll(one_hot, 1, axis=1),
        random.normal(size=(_DIRECTIONS, samples, classes)).astype(np.float32),
    )


def probe_of(task: Task, samples: int = 100, seed: int = 0) -> Probe:
    """The probe of a task: ``probe()`` for classes, otherwise labels of its own.

    Outputs are normal: of deviation 1 about 0 for a sigmoid, otherwise about the mean of the labels with their
    deviation.
    """
    kind = task.problem
    if kind.has_classes:
        return probe(seed=seed)
    labels = task.flat["train"].labels
    random = named_random(seed, "probe")
    drawn = labels[random.permutation(np.resize(np.arange(len(labels)), max(samples, len(labels))))[:samples]]
    drawn = np.where(np.isnan(drawn), np.nanmean(labels, axis=0), drawn)
    if kind.output == "sigmoid":
        drawn = np.round(drawn)
        middle, spread, others = 0.0, 1.0, 1 - drawn
    else:
        middle, spread, others = np.nanmean(labels, axis=0), np.nanstd(labels, axis=0), np.roll(drawn, 1, axis=0)
    outputs = middle + spread * random.normal(size=drawn.shape)
    directions = random.normal(size=(_DIRECTIONS, *drawn.shape))
    return Probe(*(part.astype(np.float32) for part in (outputs, drawn, others, directions)))


def softened(given: Probe, seed: int = 0) -> Probe:
    """A probe of classes with soft labels: more than half is the class's, and the rest is shared out at random."""
    random = named_random(seed, "soft labels")
    rest = random.dirichlet(np.ones(given.targets.shape[1]), len(given.targets))
    share = random.uniform(0.5, 1, (len(given.targets), 1))
    targets, others = (
        (share * labels + (1 - share) * rest).astype(np.float32) for labels in (given.targets, given.others)
    )
    return given._replace(targets=targets, others=others)


def encoded(trees: Sequence[Tree], factors: Sequence[Sequence[float] | None] | None, room: int) -> Any:
    """Trees as programs, with a context to be filled in where any of them needs one (``context.prepared``)."""
    return context.prepared(trees, programs.encode(trees, factors, room), len(trees))


def unlike_prior(outputs: int) -> np.ndarray:
    """What stands for the prior on a probe: each class has another share, the last four times that of the first."""
    shares = np.geomspace(1, 4, outputs)
    return (shares / (shares.sum() if outputs > 1 else 3)).astype(np.float32)


def _moments(samples: int) -> np.ndarray:
    """What stands for the progress of each sample, so that losses that differ at any time differ on a probe."""
    return (np.arange(1, samples + 1) * 5**0.5 % 1).astype(np.float32)


class Examined(NamedTuple):
    """What gradients on a probe say of each candidate."""

    both: np.ndarray  # bool[candidates], the tree holds x and y
    finite: np.ndarray  # bool[candidates], value and gradient are
    guided: np.ndarray  # bool[candidates], the gradient is not zero, and other labels change it
    fingerprint: np.ndarray  # float32[candidates, 8], projections of the gradient to 3 digits; NaN if rejected
    direction: np.ndarray  # the same of the gradient over its size, which a learning rate makes up for
    size: np.ndarray  # float32[candidates], norm of the gradient over that of the baseline; NaN if rejected


class Screened(NamedTuple):
    """What all stages say of each candidate; a later stage is false for what an earlier one rejected."""

    both: np.ndarray
    finite: np.ndarray
    guided: np.ndarray
    fingerprint: np.ndarray
    direction: np.ndarray
    size: np.ndarray
    trainable: np.ndarray  # bool[candidates], free outputs learn their labels by it


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How trees are screened.

    Attributes:
      given: what they are tried on.
      kind: the kind of problem.
      protected: use the protected operators.
      room: for instructions, as in ``programs.encode``, those of the baseline too.
    """

    given: Probe
    kind: Kind
    protected: bool
    room: int


def screen(
    population: Sequence[Tree],
    coefficients: Sequence[Sequence[float] | None] | None = None,
    given: Probe | None = None,
    *,
    kind: Kind = KINDS["classification"],
    protected: bool = False,
    room: int | None = None,
) -> Screened:
    """Put trees through all stages.

    Of trees with one fingerprint only the first descends.

    Args:
      population: the trees.
      coefficients: of each tree. Defaults to all 1.
      given: what they are tried on. Defaults to ``probe()``.
      kind: the kind of problem.
      protected: use the protected operators.
      room: for instructions, as in ``programs.encode``, those of the baseline too. Defaults to those of the longest
        tree.

    Returns:
      What each stage says of each tree.
    """
    if room is None:
        longest = [programs.instructions_of(tree) for tree in population if tree.has_x_and_y]
        room = max([*longest, programs.instructions_of(kind.baseline.tree)])
    settings = Settings(given=probe() if given is None else given, kind=kind, protected=protected, room=room)
    return screen_with(population, settings, coefficients)


def screen_with(
    population: Sequence[Tree], settings: Settings, coefficients: Sequence[Sequence[float] | None] | None = None
) -> Screened:
    """Put trees through all stages, as ``screen`` does, by given settings."""
    examined = examine(population, settings, coefficients)
    learns = np.zeros(len(population), bool)
    (guides,) = np.nonzero(examined.guided)
    if len(guides):
        _, first, which = np.unique(examined.fingerprint[guides], axis=0, return_index=True, return_inverse=True)
        chosen = guides[first].tolist()
        found = descend(
            [population[place] for place in chosen],
            settings,
            None if coefficients is None else [coefficients[place] for place in chosen],
        )
        learns[guides] = found[which.reshape(-1)]
    return Screened(*examined, learns)


def examine(
    population: Sequence[Tree], settings: Settings, coefficients: Sequence[Sequence[float] | None] | None = None
) -> Examined:
    """The gradient of each tree, with coefficients that default to all 1."""
    count, width = len(population), len(settings.given.directions)
    both = np.array([tree.has_x_and_y for tree in population], bool)
    finite, guided = (np.zeros(count, bool) for _ in range(2))
    fingerprint, direction = (np.full((count, width), np.nan, np.float32) for _ in range(2))
    size = np.full(count, np.nan, np.float32)
    (places,) = np.nonzero(both)
    if len(places):
        stage, _ = _stages(settings.protected, settings.kind.output)
        finite[places], guided[places], fingerprint[places], direction[places], size[places] = _batched(
            stage, settings, population, coefficients, places.tolist(), _BATCH
        )
        for described in (fingerprint, direction, size):
            described[~guided] = np.nan
        baseline = encoded([settings.kind.baseline.tree] * _BATCH, None, settings.room)
        (*_, sizes) = _on_host([stage(baseline, settings.given)])  # by the program that is compiled already
        size /= sizes[0]
    return Examined(both, finite, guided, fingerprint, direction, size)


def descend(
    population: Sequence[Tree], settings: Settings, coefficients: Sequence[Sequence[float] | None] | None = None
) -> np.ndarray:
    """Whether free outputs learn their labels by each tree, ``bool[trees]``; it has x and y."""
    if not population:
        return np.zeros(0, bool)
    _, stage = _stages(settings.protected, settings.kind.output)
    everything = list(range(len(population)))
    (learns,) = _batched(stage, settings, population, coefficients, everything, DESCENT_BATCH)
    return learns


def _batched(
    stage: "_Stage",
    settings: Settings,
    population: Sequence[Tree],
    coefficients: Sequence[Sequence[float] | None] | None,
    places: list[int],
    most: int,
) -> list[np.ndarray]:
    """What a stage says of the trees at some places, of which it takes ``most`` at a time."""
    starts = range(0, len(places), most)
    batched = np.concatenate([np.resize(places[first : first + most], most) for first in starts]).tolist()
    factors = None if coefficients is None else [coefficients[place] for place in batched]
    programs = encoded([population[place] for place in batched], factors, settings.room)
    found = [
        stage(jax.tree.map(lambda leaf, first=first: leaf[first : first + most], programs), settings.given)
        for first in starts
    ]
    return [column[: len(places)] for column in _on_host(found)]


def _on_host(found: Sequence[Sequence[jax.Array]]) -> list[np.ndarray]:
    """What a stage said of each batch as NumPy arrays, once all are under way; most trees give NaN somewhere."""
    with jax_settings.standard():
        return [np.concatenate([np.asarray(part) for part in column]) for column in zip(*found, strict=True)]


def size_of(loss: LossFunction, given: Probe, kind: Kind) -> float:
    """The norm of a function's gradient on a probe over that of the baseline's, as ``Screened.size`` is of a tree."""

    @jax.jit
    def sizes(outputs: jax.Array, targets: jax.Array) -> list[jax.Array]:
        both = (gradients.fixed_gradient(one) for one in (loss, kind.baseline))
        return [jnp.linalg.norm(gradient(None, outputs, targets, None)[0]) for gradient in both]  # type: ignore[arg-type]

    with jax_settings.standard():
        found, baseline = (float(size) for size in sizes(given.outputs, given.targets))
    return found / baseline


_Stage = Callable[[Any, Probe], tuple[jax.Array, ...]]
"""From programs ``[candidates]`` to what a stage says of each; the device may still be computing it."""


@lru_cache
def _stages(protected: bool, output: Output) -> tuple[_Stage, _Stage]:
    gradient = gradients.program_gradient(protected, output)

    def compiled(stage: Callable[..., tuple[jax.Array, ...]]) -> _Stage:
        run = jax.jit(jax.vmap(stage, in_axes=(0, None, None, None, None)))

        def call(programs: Any, given: Probe) -> tuple[jax.Array, ...]:
            wide = callable(output) and jax_settings.asks_for_64_bits(lambda: jax.eval_shape(run, programs, *given))
            with jax_settings.standard(wide=wide):
                return run(programs, *given)

        return call

    return compiled(partial(_examine, gradient)), compiled(partial(_descend, gradient, _goodness(output)))


def _examine(
    gradient: gradients.Gradient,
    program: Any,
    outputs: jax.Array,
    targets: jax.Array,
    others: jax.Array,
    directions: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]:
    program = context.filled(program, partial(unlike_prior, outputs.shape[1]), _moments(len(outputs)))
    chex.assert_equal_shape([outputs, targets, others])
    chex.assert_shape(directions, (_DIRECTIONS, *outputs.shape))
    found, finite = gradient(program, outputs, targets, None)
    other, other_finite = gradient(program, outputs, others, None)
    finite = finite & other_finite
    largest = jnp.abs(found).max()
    # Rounding alone stays well below this; so does the gradient of a constant.
    guided = finite & (largest * len(outputs) > 1e-5) & (jnp.abs(found - other).max() > 1e-4 * largest)
    size = largest * jnp.linalg.norm(found / largest)  # squares of the gradient itself may overflow
    projected = jnp.einsum("dsc,sc->d", directions, found)
    return finite, guided, _rounded(projected), _rounded(projected / size), size


def _rounded(projected: jax.Array) -> jax.Array:
    """Rounded to digits of the largest; adding 0 makes -0 equal to 0 in its bytes too."""
    unit = 10.0 ** (jnp.floor(jnp.log10(jnp.abs(projected).max())) - (_DIGITS - 1))
    return jnp.round(projected / unit) * unit + 0.0


def _descend(
    gradient: gradients.Gradient,
    goodness: Callable[[jax.Array, jax.Array], jax.Array],
    program: Any,
    outputs: jax.Array,
    targets: jax.Array,
    others: jax.Array,
    directions: jax.Array,
) -> tuple[jax.Array]:
    spread = jnp.std(outputs)

    def step(number: Any, carry: tuple[Any, optax.OptState, jax.Array]) -> tuple[Any, optax.OptState, jax.Array]:
        outputs, state, finite = carry
        now = context.filled(program, partial(unlike_prior, outputs.shape[1]), number / _DESCENT_STEPS)
        found, step_is_finite = gradient(now, outputs, targets, None)
        updates, state = _DESCENT.update(found, state)
        return optax.apply_updates(outputs, spread * jnp.asarray(updates)), state, finite & step_is_finite

    start = (outputs, _DESCENT.init(outputs), jnp.array(True))
    end, _, finite = jax.lax.fori_loop(0, _DESCENT_STEPS, step, start)
    return (finite & (goodness(end, targets) >= goodness(outputs, targets) + _LEAST_RISE),)


def _goodness(output: Output) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """How well outputs predict the targets: the share of right ones, or of the variance explained.

    Only the variance beyond one half counts: outputs that come a little closer to the targets, or to their mean, have
    not learned them.
    """
    if output == "softmax":
        return lambda outputs, targets: jnp.mean(outputs.argmax(axis=-1) == targets.argmax(axis=-1))
    if output == "sigmoid":
        return lambda outputs, targets: jnp.mean((outputs > 0) == (targets > 0.5))
    predict: Any = (lambda outputs: outputs) if output == "identity" else output

    def explained(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.maximum(0.5 - jnp.mean((predict(outputs) - targets) ** 2) / jnp.var(targets), 0)

    return explained
