"""The reference networks against their papers' layers, written out by hand, and against Flax."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glojax import data, models
from glojax.discovery.scoring import evaluate
from glojax.expressions.parsing import parse
from glojax.losses.loss import Loss
from glojax.models.adapters import as_model
from glojax.tasks.ready_made import digits
from glojax.tasks.task import Task
from glojax.training import blocks, learner
from glojax.training.trainer import Trainer


@pytest.mark.parametrize(
    ("network", "expected"),
    [("mlp", 64 * 64 + 64 + 64 * 10 + 10), ("cnn", 160 + 16 * 9 * 32 + 32 + 128 * 64 + 64 + 650)],
)
def test_the_reference_networks_have_the_parameters_of_their_description(network: str, expected: int) -> None:
    params, _ = jax.eval_shape(digits(network=network).pure_model.init, jax.random.key(0))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)) == expected


def test_mlp_equals_dense_layers_with_transposed_kernels() -> None:
    x = jax.random.normal(jax.random.key(0), (5, 4, 3))
    params = models.MLP((7, 2)).init(jax.random.key(1), x)["params"]
    first, second = params["Linear_0"], params["Linear_1"]
    hidden = np.maximum(x.reshape(5, 12) @ first["kernel"].T + first["bias"], 0)
    expected = hidden @ second["kernel"].T + second["bias"]
    np.testing.assert_allclose(models.MLP((7, 2)).apply({"params": params}, x), expected, rtol=1e-5, atol=1e-6)


def test_mlp_kernels_have_the_variance_of_their_inputs() -> None:
    params = models.MLP((400, 10)).init(jax.random.key(0), jnp.zeros((1, 100)))["params"]
    assert np.var(params["Linear_0"]["kernel"]) == pytest.approx(1 / 100, rel=0.05)


def test_max_pool_equals_flax() -> None:
    x = jax.random.normal(jax.random.key(0), (3, 6, 8, 2))
    np.testing.assert_array_equal(models.max_pool(x), nn.max_pool(x, (2, 2), (2, 2)))


def test_overlapping_max_pool_equals_flax() -> None:
    x = jax.random.normal(jax.random.key(0), (3, 6, 8, 2))
    np.testing.assert_array_equal(models.overlapping_max_pool(x), nn.max_pool(x, (3, 3), (2, 2), "SAME"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "window"), [(models.max_pool, (2, 2)), (models.overlapping_max_pool, (3, 3))], ids=["2x2", "3x3"]
)
def test_gradients_of_pooling_equal_those_of_flax(ours: Any, window: tuple[int, int]) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 6, 4, 3))
    weights = jax.random.normal(jax.random.key(1), (2, 3, 2, 3))
    found = jax.grad(lambda x: jnp.sum(weights * ours(x)))(x)
    expected = jax.grad(lambda x: jnp.sum(weights * nn.max_pool(x, window, (2, 2), "SAME")))(x)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("pool", [models.max_pool, models.overlapping_max_pool], ids=["2x2", "3x3"])
def test_pooling_refuses_odd_sides_and_a_missing_batch(pool: Callable[[jax.Array], jax.Array]) -> None:
    with pytest.raises(ValueError, match=f"^{pool.__name__}: 6x7 points have an odd side; even sides are needed"):
        pool(jnp.ones((2, 6, 7, 3)))
    with pytest.raises(AssertionError, match="rank"):
        pool(jnp.ones((6, 8, 3)))


def test_a_linear_layer_takes_the_batch_last() -> None:
    x = jax.random.normal(jax.random.key(0), (3, 5))
    y, variables = models.Linear(2).init_with_output(jax.random.key(1), x)
    layer = variables["params"]
    np.testing.assert_allclose(y.T, x.T @ layer["kernel"].T + layer["bias"], rtol=1e-5, atol=1e-6)
    with pytest.raises(AssertionError, match="rank"):
        models.Linear(2).init(jax.random.key(1), jnp.ones((2, 3, 5)))


def test_local_response_normalization_equals_its_formula() -> None:
    x = 30 * np.random.default_rng(0).normal(size=(2, 3, 12))
    expected = np.empty_like(x)
    for channel in range(12):
        near = x[..., max(channel - 4, 0) : channel + 5]
        expected[..., channel] = x[..., channel] / (1 + 0.001 / 9 * (near**2).sum(axis=-1)) ** 0.75
    np.testing.assert_allclose(models.local_response_normalization(jnp.asarray(x)), expected, rtol=1e-5)


def parameters(model: Any, shape: tuple[int, ...]) -> int:
    params, _ = jax.eval_shape(as_model(model, np.zeros((1, *shape), np.float32)).init, jax.random.key(0))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def test_the_paper_s_networks_have_the_parameters_of_their_description() -> None:
    mnist = (25 * 32 + 32) + (25 * 32 * 64 + 64) + (7 * 7 * 64 * 1024 + 1024) + (1024 * 10 + 10)
    cifar = (75 * 64 + 64) + (25 * 64 * 64 + 64) + (6 * 6 * 64 * 384 + 384) + (384 * 192 + 192) + (192 * 10 + 10)
    assert parameters(models.PaperCNN(), (28, 28, 1)) == mnist == 3_274_634
    assert parameters(models.CifarCNN(), (24, 24, 3)) == cifar == 1_068_298


@pytest.mark.slow
def test_kernels_of_the_paper_s_network_start_uniform_within_glorot_s_bounds() -> None:
    params = models.PaperCNN().init(jax.random.key(0), jnp.ones((1, 28, 28, 1)), False)["params"]
    inputs_and_outputs = {"Conv_0": (25, 25 * 32), "Conv_1": (25 * 32, 25 * 64), "Linear_0": (3136, 1024)}
    inputs_and_outputs["Linear_1"] = (1024, 10)
    assert set(params) == set(inputs_and_outputs)
    for layer, (inputs, outputs) in inputs_and_outputs.items():
        bound = math.sqrt(6 / (inputs + outputs))
        kernel = np.asarray(params[layer]["kernel"])
        assert 0.98 * bound < np.abs(kernel).max() <= bound
        np.testing.assert_allclose(kernel.std(), bound / math.sqrt(3), rtol=0.05)
        assert not np.asarray(params[layer]["bias"]).any()


def test_all_cnn_and_resnet_have_the_parameters_of_their_description() -> None:
    all_cnn = (27 * 96 + 96) + 2 * (9 * 96 * 96 + 96) + (9 * 96 * 192 + 192) + 3 * (9 * 192 * 192 + 192)
    all_cnn += (192 * 192 + 192) + (192 * 10 + 10)
    assert parameters(models.AllCNN(), (32, 32, 3)) == all_cnn == 1_369_738  # about 1.4 million in arXiv 1412.6806
    convolutions = 27 * 16 + 6 * 9 * 16**2 + (9 * 16 * 32 + 5 * 9 * 32**2) + (9 * 32 * 64 + 5 * 9 * 64**2)
    normalizations = 2 * (6 * 16 + (16 + 5 * 32) + (32 + 5 * 64) + 64)
    shortcuts, last = 16 * 32 + 32 * 64, 64 * 10 + 10
    resnet = convolutions + normalizations + last
    assert resnet == 269_722  # 0.27 million in arXiv 1512.03385, whose shortcuts have none
    assert parameters(models.ResNet20(), (32, 32, 3)) == resnet + shortcuts == 272_282


def convolved(x: np.ndarray, layer: dict[str, Any], stride: int = 1, padding: int = 1) -> np.ndarray:
    """A convolution ``[batch, height, width, channels]`` as a sum over windows."""
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, layer["kernel"].shape[:2], (1, 2))[:, ::stride, ::stride]
    return np.einsum("bhwcij,ijco->bhwo", windows, layer["kernel"], optimize=True) + layer.get("bias", 0)


def all_cnn_by_hand(params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """The network as the paper's tables list it, outside training."""
    for layer in range(9):
        padding = 1 if layer < 6 else 0
        x = np.maximum(convolved(x, params[f"Conv_{layer}"], 2 if layer in (2, 5) else 1, padding), 0)
    assert x.shape[1:3] == (6, 6)
    return x.mean(axis=(1, 2))


def resnet_by_hand(
    params: dict[str, Any], averages: dict[str, Any], x: np.ndarray, train: bool
) -> tuple[np.ndarray, dict[str, Any]]:
    """Logits, and the running averages after it."""
    after: dict[str, Any] = {}

    def activated(x: np.ndarray, scales: dict[str, Any], name: str, *unit: str) -> np.ndarray:
        old = averages[unit[0]][name] if unit else averages[name]
        moments = {"mean": x.mean(axis=(0, 1, 2)), "var": x.var(axis=(0, 1, 2))} if train else old
        place = after.setdefault(unit[0], {}) if unit else after
        place[name] = {key: 0.9 * old[key] + 0.1 * moments[key] for key in old}
        x = (x - moments["mean"]) / np.sqrt(moments["var"] + 1e-5)
        return np.maximum(x * scales["scale"] + scales["bias"], 0)

    x = convolved(x, params["Conv_0"])
    for number in range(9):
        name, widens = f"ResidualUnit_{number}", number in (3, 6)
        unit = params[name]
        first = activated(x, unit["BatchNorm_0"], "BatchNorm_0", name)
        y = convolved(first, unit["Conv_0"], 2 if widens else 1)
        y = convolved(activated(y, unit["BatchNorm_1"], "BatchNorm_1", name), unit["Conv_1"])
        shortcut = first[:, ::2, ::2] @ unit["Conv_2"]["kernel"][0, 0] if widens else x if number else first
        x = shortcut + y
    x = activated(x, params["BatchNorm_0"], "BatchNorm_0").mean(axis=(1, 2))
    return x @ params["Linear_0"]["kernel"].T + params["Linear_0"]["bias"], after


def drawn(variables: Any) -> Any:
    """Arrays of these shapes, in float64: kernels that keep the variance through ReLU, all else around 1."""
    random = np.random.default_rng(0)

    def array(leaf: Any) -> np.ndarray:
        if leaf.ndim > 1:
            return random.normal(size=leaf.shape) * np.sqrt(2 * leaf.shape[-1] / math.prod(leaf.shape))
        return random.uniform(0.5, 1.5, leaf.shape)

    return jax.tree.map(array, variables)


def linear(x: np.ndarray, layer: dict[str, Any]) -> np.ndarray:
    return x.reshape(len(x), -1) @ layer["kernel"].T + layer["bias"]


def pooled(x: np.ndarray, window: int) -> np.ndarray:
    """Max pooling with stride 2, padded at the end to the windows that begin inside."""
    end = window - 2
    padded = np.pad(x, ((0, 0), (0, end), (0, end), (0, 0)), constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(padded, (window, window), (1, 2))[:, ::2, ::2].max(axis=(-1, -2))


def normalized(x: np.ndarray) -> np.ndarray:
    squares = [(x[..., max(c - 4, 0) : c + 5] ** 2).sum(axis=-1) for c in range(x.shape[-1])]
    return x / (1 + 0.001 / 9 * np.stack(squares, axis=-1)) ** 0.75


def test_the_paper_s_mnist_network_equals_its_layers() -> None:
    with jax.enable_x64(True):
        x = np.random.default_rng(1).normal(size=(2, 28, 28, 1))
        model = models.PaperCNN()
        variables = drawn(jax.eval_shape(partial(model.init, train=False), jax.random.key(0), x))
        found, layers = jax.jit(partial(model.apply, train=False))(variables, x), variables["params"]
        for name in ("Conv_0", "Conv_1"):
            x = pooled(np.maximum(convolved(x, layers[name], padding=2), 0), 2)
        hidden = np.maximum(linear(x, layers["Linear_0"]), 0)
        np.testing.assert_allclose(found, linear(hidden, layers["Linear_1"]), rtol=1e-10)


def test_the_paper_s_cifar_network_equals_its_layers() -> None:
    with jax.enable_x64(True):
        x = 10 * np.random.default_rng(1).normal(size=(2, 24, 24, 3))
        model = models.CifarCNN()
        variables = drawn(jax.eval_shape(model.init, jax.random.key(0), x))
        found, layers = jax.jit(model.apply)(variables, x), variables["params"]
        x = normalized(np.maximum(pooled(convolved(x, layers["Conv_0"], padding=2), 3), 0))
        x = pooled(normalized(np.maximum(convolved(x, layers["Conv_1"], padding=2), 0)), 3)
        hidden = linear(np.maximum(linear(x, layers["Linear_0"]), 0), layers["Linear_1"])
        np.testing.assert_allclose(found, linear(hidden, layers["Linear_2"]), rtol=1e-10)


def test_all_cnn_equals_the_layers_of_its_table() -> None:
    with jax.enable_x64(True):
        x = np.random.default_rng(1).normal(size=(2, 32, 32, 3))
        model = models.AllCNN()
        variables = drawn(jax.eval_shape(partial(model.init, train=False), jax.random.key(0), x))
        found = jax.jit(partial(model.apply, train=False))(variables, x)
        np.testing.assert_allclose(found, all_cnn_by_hand(variables["params"], x), rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("train", [False, True], ids=["evaluation", "training"])
def test_resnet_and_its_running_averages_equal_those_by_hand(train: bool) -> None:
    with jax.enable_x64(True):
        x = np.random.default_rng(1).normal(size=(3, 32, 32, 3))
        model = models.ResNet20()
        variables = drawn(jax.eval_shape(partial(model.init, train=False), jax.random.key(0), x))
        logits, changed = jax.jit(partial(model.apply, train=train, mutable=["batch_stats"]))(variables, x)
        expected, averages = resnet_by_hand(variables["params"], variables["batch_stats"], x, train)
        np.testing.assert_allclose(logits, expected, rtol=1e-9)
        expected_state = averages if train else variables["batch_stats"]
        chex.assert_trees_all_close(changed["batch_stats"], expected_state, rtol=1e-9)


def test_all_cnn_drops_a_fifth_of_the_input_and_half_of_what_is_inside() -> None:
    x = jax.random.normal(jax.random.key(0), (20, 16, 16, 3))
    model = models.AllCNN(channels=(16, 16))
    variables = drawn(jax.eval_shape(partial(model.init, train=False), jax.random.key(0), x))
    train = partial(model.apply, train=True, capture_intermediates=True)
    layers = jax.jit(lambda: train(variables, x, rngs={"dropout": jax.random.key(2)}))()[1]["intermediates"]
    layers = {name: np.asarray(layers[name]["__call__"][0]) for name in layers if name != "__call__"}
    inputs = [np.asarray(x), np.maximum(layers["Conv_2"], 0), np.maximum(layers["Conv_5"], 0)]
    for layer, (before, share) in enumerate(zip(inputs, (0.2, 0.5, 0.5), strict=True)):
        after = layers[f"Dropout_{layer}"]
        assert np.mean(after[before != 0] == 0) == pytest.approx(share, abs=0.03)
        np.testing.assert_allclose(after[after != 0], before[after != 0] / (1 - share), rtol=1e-5)


def test_an_image_too_small_for_all_cnn_is_refused() -> None:
    with pytest.raises(ValueError, match="AllCNN: 2x2 points are left of the input; at least 3x3 are needed"):
        Task(models.AllCNN(), *data.digits(), batch_size=20)


SMALL = {"allcnn": models.AllCNN(channels=(6,)), "resnet": models.ResNet20(units=1, channels=(4, 6))}
"""For images of 8x8 points."""


@pytest.mark.slow
@pytest.mark.parametrize("network", SMALL)
def test_an_example_s_logits_outside_training_depend_on_no_other_example(network: str) -> None:
    x = np.random.default_rng(0).normal(size=(12, 8, 8, 1)).astype(np.float32)
    model = as_model(SMALL[network], x)
    params, state = drawn(models.shapes(model))
    apply = jax.jit(
        lambda x, key, train: model.apply(params, state, x, jax.random.key(key), train)[0], static_argnums=2
    )
    whole = apply(x, 0, False)
    np.testing.assert_allclose(apply(x[3:5], 1, False), whole[3:5], rtol=1e-5, atol=1e-6)
    assert np.abs(np.asarray(apply(x, 0, True) - whole)).max() > 0.01
    if network == "resnet":  # whose training has no dropout, only the statistics of the batch
        np.testing.assert_array_equal(apply(x, 0, True), apply(x, 1, True))
        assert np.abs(np.asarray(apply(x[:6], 0, True) - apply(x, 0, True)[:6])).max() > 0.01


def trained_by_hand(task: Task, loss: Any, seed: int) -> tuple[Any, Any]:
    """The reference: parameters and state by jax.grad and optax in a Python loop."""
    model, (x, labels), keys = task.pure_model, task.splits["train"], learner.keys_of(jnp.uint32(seed))
    params, state = model.init(keys.init)
    optimizer_state = task.optimizer.init(params)

    @jax.jit
    def step(params: Any, state: Any, optimizer_state: Any, x: jax.Array, labels: jax.Array, key: jax.Array) -> Any:
        def mean_loss(params: Any) -> Any:
            logits, new_state = model.apply(params, state, x, key, True)
            return jnp.mean(loss(logits, jax.nn.one_hot(labels, 10))), new_state

        gradient, state = jax.grad(mean_loss, has_aux=True)(params)
        updates, optimizer_state = task.optimizer.update(gradient, optimizer_state, params)
        return optax.apply_updates(params, updates), state, optimizer_state

    for number, places in enumerate(learner.minibatches(seed, len(x), task.batch_size, 0, task.steps)):
        key = jax.random.fold_in(keys.dropout, number)
        params, state, optimizer_state = step(params, state, optimizer_state, x[places], labels[places], key)
    return params, state


@pytest.mark.slow
@pytest.mark.parametrize("network", SMALL)
def test_parameters_and_state_of_a_candidate_are_those_of_a_plain_loop(tiny_task: Task, network: str) -> None:
    model = as_model(SMALL[network], tiny_task.splits["train"].x[:1])
    start = jax.tree.map(lambda leaf: leaf.astype(np.float32), drawn(models.shapes(model)))
    # Drawn beforehand, because every draw in a compiled program takes a second to compile.
    task = dataclasses.replace(
        tiny_task, model=(lambda key: start, model.apply), optimizer=optax.sgd(0.01, momentum=0.9), steps=12
    )
    expressions = ["x * log(y)", "-1 * square(x - y)"]
    trainer = Trainer(task, instructions=31)
    candidates = trainer.candidates([parse(expression) for expression in expressions], [5, 5])
    block = blocks.start_block(trainer.compiled, candidates, np.arange(2))
    block = blocks.advance_block(trainer.compiled, block, 0, task.steps)
    learners = block.learners
    found = jax.tree.map(lambda leaf: blocks.by_candidate(block, leaf, 2), (learners.params, learners.state))
    # The second, which took no part of the first one's state.
    mine, expected = jax.tree.map(lambda leaf: leaf[1], found), trained_by_hand(task, Loss(expressions[1]), 5)
    chex.assert_trees_all_close(mine, expected, rtol=1e-3, atol=1e-5)
    apart = jax.tree.map(
        lambda leaf, begun: np.abs(leaf[0] - leaf[1]).max() * np.abs(leaf[0] - begun).max(), found, start
    )
    assert min(jax.tree.leaves(apart)) > 0  # each has moved on its own


def test_paper_network_drops_two_fifths_of_the_hidden_units() -> None:
    x = jax.random.normal(jax.random.key(0), (50, 8, 8, 1))
    model = models.PaperCNN()
    variables = model.init(jax.random.key(1), x, train=False)
    _, kept = model.apply(variables, x, train=True, rngs={"dropout": jax.random.key(2)}, capture_intermediates=True)
    _, whole = model.apply(variables, x, train=False, capture_intermediates=True)
    hidden, dropped = (np.asarray(found["intermediates"]["Dropout_0"]["__call__"][0]) for found in (whole, kept))
    assert np.mean(dropped[hidden > 0] == 0) == pytest.approx(0.4, abs=0.02)


class FlaxMLP(nn.Module):
    """The reference network as a user would write it."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(nn.Dense(64)(x.reshape((x.shape[0], -1))))
        return nn.Dense(10)(x)


class FlaxCNN(nn.Module):
    """The same for the small convolutional network, with Flax's own layers alone."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in (16, 32):
            x = nn.max_pool(nn.relu(nn.Conv(width, (3, 3))(x)), (2, 2), (2, 2))
        x = nn.relu(nn.Dense(64)(x.reshape((x.shape[0], -1))))
        return nn.Dense(10)(x)


def as_flax(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters of ``MLP`` or ``CNN`` as those of the networks above."""
    linear = [params.get("MLP_0", params)[f"Linear_{i}"] for i in range(2)]
    layers = {f"Dense_{i}": {"kernel": layer["kernel"].T, "bias": layer["bias"]} for i, layer in enumerate(linear)}
    return layers | {name: value for name, value in params.items() if name.startswith("Conv")}


@pytest.mark.slow
@pytest.mark.parametrize(("network", "users"), [("mlp", FlaxMLP()), ("cnn", FlaxCNN())], ids=["mlp", "cnn"])
def test_a_population_of_reference_networks_trains_as_one_of_plain_flax_layers(network: str, users: Any) -> None:
    task = dataclasses.replace(digits(steps=60, network=network), optimizer=optax.sgd(0.05))
    init = task.pure_model.init

    def from_the_same_start(key: jax.Array) -> tuple[Any, Any]:
        return as_flax(init(key)[0]), {}

    def apply(params: Any, state: Any, x: jax.Array, key: jax.Array, train: bool) -> tuple[jax.Array, Any]:
        return users.apply({"params": params}, x), state

    plain = dataclasses.replace(task, model=(from_the_same_start, apply))
    losses = ["x * log(y)", "log(y) - x / y", "x * sqrt(y)", "x * (y + log(y))", "x * log(y) * y"]
    both = [evaluate(each, losses, 2) for each in (task, plain)]
    # Not one of 360 images in a hundred may be told otherwise for rounding.
    np.testing.assert_allclose(both[0], both[1], atol=0.009)
    assert len(np.unique(both[0])) > 5
    assert both[0].max() > 0.5
