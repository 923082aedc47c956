"""The PyTorch sides of ``side_by_side.py``: one candidate after another, and ``torch.func.vmap`` over a chunk of them.

They need the extra ``torch``; without it ``torch`` here is None. A work is a ``side_by_side.Work``.
"""

import functools
import importlib
import importlib.util
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from glojax.distributed.devices import all_devices
from glojax.expressions import trees
from glojax.expressions.grammar import Notation
from glojax.expressions.trees import Tree

torch: Any = importlib.import_module("torch") if importlib.util.find_spec("torch") else None

LOWEST = float(np.finfo(np.float32).tiny ** 0.45)  # of a prediction, as in losses.probabilities


@functools.cache
def torch_device() -> str:
    return "cuda" if all_devices()[0].platform == "gpu" else "cpu"


def torch_network(work: Any) -> Any:
    """The PyTorch equivalent of the Flax network, with the same weights."""
    network: Any = work.task.model
    inputs, side, layers = 1, work.minibatches[0][0].shape[1], []
    for outputs in network.channels:
        layers += [torch.nn.Conv2d(inputs, outputs, network.window, padding="same")]
        layers += [torch.nn.MaxPool2d(2), torch.nn.ReLU()]
        inputs, side = outputs, side // 2
    layers += [torch.nn.Flatten(), torch.nn.Linear(inputs * side * side, network.hidden), torch.nn.ReLU()]
    layers += [torch.nn.Dropout(network.dropout)] * (network.dropout > 0)
    module = torch.nn.Sequential(*layers, torch.nn.Linear(network.hidden, 10)).train(work.train)
    state = {name: torch.tensor(value).contiguous() for name, value in torch_state(work.params, module).items()}
    module.load_state_dict(state, assign=True)
    return module.to(torch_device()).requires_grad_()


def torch_state(params: Any, module: Any) -> dict[str, np.ndarray]:
    """Flax's parameters as the PyTorch module's state dict, layer by layer."""
    names = [name for name, layer in module.named_children() if hasattr(layer, "weight")]
    state, channels = {}, 1
    for name, (_, layer) in zip(names, sorted(params.items()), strict=True):  # Conv_0, Conv_1, Dense_0, Dense_1
        kernel = np.asarray(layer["kernel"])
        if kernel.ndim == 4:  # [height, width, inputs, outputs]
            channels, kernel = kernel.shape[-1], kernel.transpose(3, 2, 0, 1)
        else:
            # After a convolution Flax flattens (height, width, channels), PyTorch (channels, height, width).
            side, kernel = math.isqrt(len(kernel) // channels), kernel.T
            if channels > 1:
                kernel = kernel.reshape(-1, side, side, channels).transpose(0, 3, 1, 2).reshape(kernel.shape)
            channels = 1
        state |= {f"{name}.weight": kernel, f"{name}.bias": np.asarray(layer["bias"])}
    return state


def torch_minibatches(work: Any) -> list[list[Any]]:
    """Inputs ``[batch, channels, height, width]``, labels, and the labels as one-hot."""
    one_hot = np.eye(10, dtype=work.minibatches[0][0].dtype)
    arrays = [(x.transpose(0, 3, 1, 2).copy(), labels, one_hot[labels]) for x, labels in work.minibatches]
    on_device = functools.partial(torch.tensor, device=torch_device())
    return [[on_device(x), on_device(labels).long(), on_device(hot)] for x, labels, hot in arrays]


def torch_function(tree: Tree | None) -> Callable[[Any, Any], Any] | None:
    """f(x, y) as written by hand in PyTorch, such as ``torch.log(y) - x / y``."""
    constant = functools.cache(lambda value: torch.tensor(float(value), device=torch_device()))
    number = lambda row: Notation(f"constant({row.symbol})", operands=())
    notation = lambda row: number(row) if isinstance(row.symbol, int) else row.python
    return tree and eval(f"lambda x, y: {trees.write(tree, notation)}", {"jnp": torch, "constant": constant})


def torch_train(parameters: Iterable[Any], loss: Callable[..., Any], minibatches: list[Any]) -> None:
    optimizer = torch.optim.SGD(parameters, lr=0.01)
    for minibatch in minibatches:
        value = loss(*minibatch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()


def torch_loop(work: Any) -> Callable[[int], Iterator[Any]]:
    """``jax_loop`` with a PyTorch module and ``torch.optim.SGD``."""
    module, layout = torch_network(work).to(memory_format=torch.channels_last), torch.channels_last
    minibatches = [(x.contiguous(memory_format=layout), *labels) for x, *labels in torch_minibatches(work)]
    start = {name: value.clone() for name, value in module.state_dict().items()}
    functions = [torch_function(tree) for tree in work.population]

    def mean_loss(function: Any, x: Any, labels: Any, one_hot: Any) -> Any:
        if function is None:
            return torch.nn.functional.cross_entropy(module(x), labels)
        return -function(one_hot, module(x).softmax(-1).clamp(min=LOWEST)).sum(-1).mean()

    def run(steps: int) -> Iterator[Any]:
        for function in functions:
            module.load_state_dict(start)
            torch_train(module.parameters(), functools.partial(mean_loss, function), minibatches[:steps])
            yield {name: value.clone() for name, value in module.state_dict().items()}

    return run


def torch_vmap(work: Any) -> Callable[[int], Iterator[Any]]:
    """``torch_loop`` for a chunk of the population at once, by ``torch.func.vmap``."""
    module, minibatches = torch_network(work), torch_minibatches(work)
    functions = [torch_function(tree) for tree in work.population]
    chunks = [functions[first : first + work.chunk] for first in range(0, len(functions), work.chunk)]

    def cross_entropy(params: Any, x: Any, labels: Any) -> Any:
        return torch.nn.functional.cross_entropy(torch.func.functional_call(module, params, (x,)), labels)

    # One dropout mask for a chunk, as glojax has one for a group.
    batched = functools.partial(torch.func.vmap, randomness="same")
    forward = batched(functools.partial(torch.func.functional_call, module), in_dims=(0, None))
    cross_entropies = batched(cross_entropy, in_dims=(0, None, None))

    def sum_of_losses(chunk: list[Any], params: Any, x: Any, labels: Any, one_hot: Any) -> Any:
        if chunk[0] is None:
            return cross_entropies(params, x, labels).sum()
        # unbind, not indexing, whose gradient would fill the whole stack with zeros for every candidate.
        predictions = forward(params, x).softmax(-1).clamp(min=LOWEST).unbind()
        values = [function(one_hot, y) for function, y in zip(chunk, predictions, strict=True)]
        return -torch.stack(values).sum() / len(x)

    def run(steps: int) -> Iterator[Any]:
        for chunk in chunks:
            params, _ = torch.func.stack_module_state([module] * len(chunk))
            torch_train(params.values(), functools.partial(sum_of_losses, chunk, params), minibatches[:steps])
            yield from ({name: value.detach()[place] for name, value in params.items()} for place in range(len(chunk)))

    return run
