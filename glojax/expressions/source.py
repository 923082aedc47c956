"""Python source of a loss, which needs only jax or only torch.

A tree with coefficients goes in; the text of a module with one function comes out. The function has the values of
``losses.loss.apply``, at saturated outputs too. Formulas that are too long for a line are written in several.
"""

import ast
import keyword
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from glojax.errors import quoted
from glojax.expressions import grammar, trees
from glojax.expressions.export import factors
from glojax.expressions.trees import Tree

_SOURCE = '''"""A loss function found by glojax.

f(x, y) = {formula}
"""

import jax
import jax.numpy as jnp
{helper}

def {name}(logits, labels, axis=-1, where=None):
    """Minus the sum over outputs of f(x, y), where x is the label and y {meaning}.

    Args:
      logits: the network's outputs, floating, [..., outputs] along axis.
      labels: one-hot or soft labels, or targets, of the same shape.
      axis: the axis of the outputs, for softmax the classes.
      where: mask of the entries that take part, or of the samples, without axis.

    Returns:
      The loss of each sample, of the shape of logits without axis.
    """
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    if where is not None and jnp.ndim(where) != logits.ndim:
        where = jnp.expand_dims(where, axis)
    x, z = labels.astype(dtype), logits.astype(dtype)
    {prediction}
    {statements}
    return -jnp.sum(jnp.broadcast_to(f, y.shape), axis=axis, where=where)
'''

_TORCH_SOURCE = '''"""A loss function found by glojax.

f(x, y) = {formula}
"""

import torch
{helper}

def {name}(logits, labels, dim=-1):
    """Minus the sum over outputs of f(x, y), where x is the label and y {meaning}.

    Args:
      logits: the network's outputs, floating, [..., outputs] along dim.
      labels: one-hot or soft labels, not class indices, or targets, of the same shape.
      dim: the dimension of the outputs, for softmax the classes.

    Returns:
      The loss of each sample, of the shape of logits without dim.
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    x, z = labels.to(dtype), logits.to(dtype)
    {prediction}
    {statements}
    return -torch.sum(torch.broadcast_to(f, y.shape), dim=dim)
'''

_MEANINGS = {
    "softmax": "the softmax of the logits",
    "sigmoid": "the sigmoid of the logits",
    "identity": "the output itself",
}

# Source of y for each output, and of its logarithm where that is exact.
_PREDICTIONS = {
    "softmax": """log_y = jax.nn.log_softmax(z, axis=axis, where=where)
    if where is not None:
        log_y, x = jnp.where(where, log_y, -1.0), jnp.where(where, x, 0.0)
    # y is kept where 1 / y**2 is finite; its gradient passes as if it were not.
    kept = jnp.maximum(log_y, 0.45 * jnp.log(jnp.finfo(dtype).tiny))
    y = jnp.exp(log_y + jax.lax.stop_gradient(kept - log_y))""",
    "sigmoid": """log_y = jax.nn.log_sigmoid(z)
    # y is kept where 1 / y**2 and 1 / (1 - y) are finite; its gradient passes as if it were not.
    info = jnp.finfo(dtype)
    kept = jax.lax.stop_gradient(jnp.clip(jax.nn.sigmoid(z), info.tiny**0.45, 1 - info.epsneg))
    y = kept + kept * (1 - kept) * (z - jax.lax.stop_gradient(z))
    if where is not None:
        log_y, x, y = jnp.where(where, log_y, -1.0), jnp.where(where, x, 0.0), jnp.where(where, y, 0.5)""",
    "identity": """y = z if where is None else jnp.where(where, z, 0.5)
    x = x if where is None else jnp.where(where, x, 0.0)""",
}
_TORCH_PREDICTIONS = {
    "softmax": """log_y = torch.log_softmax(z, dim=dim)
    # y is kept where 1 / y**2 is finite; its gradient passes as if it were not.
    kept = torch.maximum(log_y, 0.45 * torch.log(torch.finfo(dtype).tiny * torch.ones_like(log_y)))
    y = torch.exp(log_y + (kept - log_y).detach())""",
    "sigmoid": """log_y = torch.nn.functional.logsigmoid(z)
    # y is kept where 1 / y**2 and 1 / (1 - y) are finite; its gradient passes as if it were not.
    info = torch.finfo(dtype)
    kept = torch.clamp(torch.sigmoid(z), info.tiny**0.45, 1 - info.eps / 2).detach()
    y = kept + kept * (1 - kept) * (z - z.detach())""",
    "identity": "y = z",
}

# The operands have these names because _Torch makes tensors of numbers by y.
_PROTECTED_DIVIDE = f'''
def protected_divide(x, y):
    """A quotient whose denominator is kept {grammar.PROTECTION} away from zero."""
    kept = jnp.maximum(jnp.abs(y), {grammar.PROTECTION})
    return x / jnp.where(y < 0, -kept, kept)
'''


def to_python(
    tree: Tree, coefficients: Sequence[float], protected: bool = False, name: str = "loss", output: object = "softmax"
) -> str:
    """Write a module with one function, ``name(logits, labels, axis=-1, where=None)``, that imports only jax.

    Args:
      tree: f(x, y).
      coefficients: the factor of each node in pre-order.
      protected: use the protected operators. Defaults to False.
      name: name of the function. Defaults to ``"loss"``.
      output: ``"softmax"``, ``"sigmoid"`` or ``"identity"``, which makes y of the logits. Defaults to softmax.

    Returns:
      Python source.

    Raises:
      ValueError: ``name`` is no Python identifier, or one that the source itself needs, or the output is a function.

    Example:
        Path("baikal.py").write_text(to_python(parse("log(y) - x / y"), [1.0] * 6, name="baikal"))
    """
    _check_name("to_python", name, ("jax", "jnp", "protected_divide"))
    return _module(_SOURCE, _PREDICTIONS, str, tree, coefficients, protected, name, output)


def to_torch(
    tree: Tree, coefficients: Sequence[float], protected: bool = False, name: str = "loss", output: object = "softmax"
) -> str:
    """Write a module with one function, ``name(logits, labels, dim=-1)``, that imports only torch.

    The arguments and errors are those of ``to_python``.
    """
    _check_name("to_torch", name, ("torch", "protected_divide"))
    return _module(_TORCH_SOURCE, _TORCH_PREDICTIONS, _in_torch, tree, coefficients, protected, name, output)


def _check_name(form: str, name: str, taken: Sequence[str]) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
        raise ValueError(
            f"{form}: name is {quoted(name)}; a Python identifier other than {', '.join(taken)} is allowed."
        )


def _module(
    template: str,
    predictions: dict[str, str],
    translate: Callable[[str], str],
    tree: Tree,
    coefficients: Sequence[float],
    protected: bool,
    name: str,
    output: object,
) -> str:
    if not isinstance(output, str):
        raise ValueError(f"{name}: a loss whose output is a function, {output}, has no source.")
    lines = _statements(tree, coefficients, protected, has_log=output != "identity")
    helper = _PROTECTED_DIVIDE if any("protected_divide" in line for line in lines) else ""
    return template.format(
        formula=trees.write(tree, lambda node: node.text, protected, factors(coefficients, 6)),
        helper=helper and f"\n\n{translate(helper).strip()}\n",
        name=name,
        meaning=_MEANINGS[output],
        prediction=predictions[output],
        statements="\n    ".join(map(translate, lines)),
    )


def _in_torch(source: str) -> str:
    return ast.unparse(ast.fix_missing_locations(_Torch().visit(ast.parse(source))))


class _Torch(ast.NodeTransformer):
    """Turns calls of jnp into calls of torch, whose functions have the same names but take no plain numbers."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name("torch", node.ctx) if node.id == "jnp" else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.func) != "torch.ones_like":
            node.args = [_tensor(argument) for argument in node.args]
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        node.value = _tensor(node.value)
        return node


def _tensor(expression: ast.expr) -> ast.expr:
    """Make a tensor of a number; unlike that of ``full_like``, it is infinite beyond the range of the dtype."""
    names = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    if names <= {"torch"}:
        return ast.BinOp(expression, ast.Mult(), ast.parse("torch.ones_like(y)", mode="eval").body)
    return expression


_LONGEST = 72  # characters of an operator's operands in one line; it also keeps nesting far from Python's limit

_Source = tuple[str, int, grammar.Power | None]
"""The text of a value, how tightly it binds, and its power of y."""


def _statements(tree: Tree, coefficients: Sequence[float], protected: bool, has_log: bool) -> list[str]:
    """Write the assignment of f, after those of parts that would make its line too long; constants are folded."""
    rows = {row.symbol: row for row in grammar.operators(protected)}
    factors = iter(coefficients)
    lines: list[str] = []

    def visit(node: Tree) -> _Source:
        if not (node.depends_on("x") or node.depends_on("y")):
            values = [next(factors) for _ in range(node.size)]
            value = _quietly(lambda zero: trees.evaluate(node, zero, zero, np, protected, values), 0.0)
            # As in Loss, a sum is no power of y, even a sum of constants.
            is_power = all(not part.children or rows[part.symbol].monomial_log for part in node.nodes())
            return _number(value), grammar.SUM if value < 0 else grammar.ATOM, (value, 0.0) if is_power else None
        factor = next(factors)
        if node.children:
            text, binds, power = operate(rows[node.symbol], [visit(child) for child in node.children])
        else:
            text, binds, power = str(node.symbol), grammar.ATOM, (1.0, 1.0) if node.symbol == "y" else None
        if factor != 1:
            text, binds = f"{factor!r} * {text if binds > grammar.PRODUCT else f'({text})'}", grammar.PRODUCT
            power = power and (factor * power[0], power[1])
        return text, binds, power

    def operate(row: grammar.Node, operands: list[_Source]) -> _Source:
        powers = [power for _, _, power in operands]
        if row.symbol == "log" and powers[0] is not None and has_log and not protected:
            return *_log_source(*powers[0]), None
        if sum(len(text) for text, _, _ in operands) > _LONGEST:
            operands = [named(operand) for operand in operands]
        places = zip(operands, row.python.operands, strict=True)
        inner = [text if binds >= place else f"({text})" for (text, binds, _), place in places]
        result = None if protected else _quiet_power(row, powers)
        return row.python.template.format(*inner), row.python.binds, result

    def named(operand: _Source) -> _Source:
        text, _, power = operand
        if len(text) <= _LONGEST // 3:
            return operand
        lines.append(f"f{len(lines) + 1} = {text}")
        return f"f{len(lines)}", grammar.ATOM, power

    text, _, _ = visit(tree)
    return [*lines, f"f = {text}"]


def _log_source(constant: float, exponent: float) -> tuple[str, int]:
    """Write ``log(constant * y**exponent)``."""
    if exponent == 0:  # an array, as Python's own operators would raise when a number is divided by zero
        return f"{_number(_quietly(np.log, constant))} * jnp.ones_like(y)", grammar.PRODUCT
    terms = []
    if constant != 1:
        terms.append(_number(_quietly(np.log, constant)))
    terms.append("log_y" if exponent == 1 else f"{exponent!r} * log_y")
    return " + ".join(terms), grammar.SUM


def _quiet_power(row: grammar.Node, powers: list[grammar.Power | None]) -> grammar.Power | None:
    with np.errstate(all="ignore"):
        return grammar.power(np, row, [each and (np.float64(each[0]), each[1]) for each in powers])


def _quietly(function: Callable[..., Any], *values: float) -> float:
    with np.errstate(all="ignore"):
        return float(function(*map(np.float64, values)))


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else "jnp.nan" if math.isnan(value) else f"{'-' * (value < 0)}jnp.inf"
