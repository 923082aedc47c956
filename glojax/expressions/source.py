"""Python source of a loss, which needs only jax or only torch.

A tree with coefficients goes in; the text of a module comes out, with a function of one-hot labels, and one of integer
labels for outputs that are probabilities. They have the values of ``losses.loss.Loss``, at saturated outputs too.
"""

import ast
import keyword
import re
from collections.abc import Callable, Sequence

from glojax.errors import quoted
from glojax.expressions import context, formula, source_texts, trees
from glojax.expressions.export import coefficient_texts
from glojax.expressions.source_texts import Texts
from glojax.expressions.trees import Tree


def to_python(
    tree: Tree, coefficients: Sequence[float], protected: bool = False, name: str = "loss", output: object = "softmax"
) -> str:
    """Write a module with the function ``name(logits, labels, axis=-1, where=None)``, that imports only jax.

    For a probability there is also ``name_with_integer_labels``, with the same arguments. A tree with the leaves
    ``prior`` or ``progress`` has keyword arguments of their names.

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
    _check_name("to_python", name, ("jax", "jnp", *_TAKEN))
    return _module(source_texts.JAX, str, tree, coefficients, protected, name, output)


def to_torch(
    tree: Tree, coefficients: Sequence[float], protected: bool = False, name: str = "loss", output: object = "softmax"
) -> str:
    """Write a module with the function ``name(logits, labels, dim=-1, where=None)``, that imports only torch.

    The arguments and errors are those of ``to_python``.
    """
    _check_name("to_torch", name, ("torch", *_TAKEN))
    return _module(source_texts.TORCH, _in_torch, tree, coefficients, protected, name, output)


_HELPERS = ("protected_divide", "protected_power", "kept_exp", "log_of_the_others")
_TAKEN = (*_HELPERS, "logits", "labels", "x", "axis", "dim", "known", *context.LEAVES)
"""Names that the source itself needs where it calls the function, or beside it."""


def _check_name(form: str, name: str, taken: Sequence[str]) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
        raise ValueError(
            f"{form}: name is {quoted(name)}; a Python identifier other than {', '.join(taken)} is allowed."
        )


def _module(
    texts: Texts,
    translate: Callable[[str], str],
    tree: Tree,
    coefficients: Sequence[float],
    protected: bool,
    name: str,
    output: object,
) -> str:
    if not isinstance(output, str):
        raise ValueError(f"{name}: a loss whose output is a function, {output}, has no source.")
    is_probability = output != "identity"
    lines = [translate(line) for line in formula.statements(tree, coefficients, protected, has_log=is_probability)]
    leaves = context.leaves_of(tree)
    takes_rest = any(re.search(r"\b(log_)?rest\b", line) for line in lines)
    helpers = {
        texts.kept: is_probability,
        texts.others: takes_rest and output == "softmax",
        texts.protected_divide: any("protected_divide" in line for line in lines),
        texts.protected_power: any("protected_power" in line for line in lines),
    }
    return texts.module.format(
        formula=trees.write(tree, lambda node: node.text, protected, coefficient_texts(coefficients)),
        helpers="".join(f"\n{text}" for text, is_needed in helpers.items() if is_needed),
        name=name,
        leaves=_keywords(leaves),
        meanings="".join(f"\n      {leaf}: {source_texts.LEAVES[leaf]}" for leaf in leaves),
        values="".join(texts.leaves[leaf] for leaf in leaves),
        meaning=source_texts.MEANINGS[output],
        single="" if output == "softmax" else texts.single,
        prediction=texts.predictions[output].format(complement=texts.complements[output] if takes_rest else ""),
        statements="\n    ".join(lines),
        integers=_integers(texts, name, output, leaves) if is_probability else "",
    )


def _keywords(leaves: Sequence[str]) -> str:
    """The keyword arguments of a function for these leaves."""
    return "".join(f", {name}" for name in ("*", *leaves)) if leaves else ""


def _integers(texts: Texts, name: str, output: str, leaves: Sequence[str]) -> str:
    """Write the function of integer labels."""
    is_sigmoid = output == "sigmoid"
    return texts.integers.format(
        name=name,
        also=", or 0 and 1 in the shape of logits" if is_sigmoid else "",
        shapes="(samples, logits.shape)" if is_sigmoid else "(samples,)",
        targets=texts.targets[output],
        leaves=_keywords(leaves),
        passed="".join(f", {leaf}={leaf}" for leaf in leaves),
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
