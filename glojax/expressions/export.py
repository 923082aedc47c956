"""LaTeX and sympy expressions of a tree with coefficients; Python source is in ``source``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from glojax.errors import short
from glojax.expressions import context, trees
from glojax.expressions.trees import Tree

if TYPE_CHECKING:
    import sympy

MAX_SYMPY_BITS = 2_000
"""Longest integers of a sympy expression: ``square`` doubles the length, and roots of large ones take minutes."""

MAX_SYMPY_NODES = 256
"""Most nodes of a sympy expression, which holds the denominator of a protected quotient twice."""


def factors(coefficients: Sequence[float], digits: int) -> list[str]:
    """Write coefficients to ``digits`` significant digits; a coefficient of 1 becomes the empty text."""
    return ["" if value == 1 else f"{value:.{digits}g}" for value in coefficients]


def coefficient_texts(coefficients: Sequence[float]) -> list[str]:
    """Write coefficients to six digits, as real numbers, so that parsing tells them from leaves; 1 is left out."""
    texts = factors(coefficients, 6)
    return [f"{text}.0" if text.lstrip("-").isdigit() else text for text in texts]


def to_latex(tree: Tree, coefficients: Sequence[float], protected: bool = False) -> str:
    r"""Write f(x, y) in LaTeX.

    Args:
      tree: f(x, y).
      coefficients: the factor of each node in pre-order, written to four digits.
      protected: write the protected operators. Defaults to False.

    Example:
        to_latex(parse("x / y"), (1, 1, 1))  # "\\frac{x}{y}"
    """
    written = [_latex_number(text) for text in factors(coefficients, 4)]
    return trees.write(tree, lambda node: node.latex, protected, written)


def _latex_number(text: str) -> str:
    mantissa, exponential, exponent = text.partition("e")
    if exponential:
        text = rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
    return f"({text})" if text.startswith("-") else text


def to_sympy(tree: Tree, coefficients: Sequence[float], protected: bool = False) -> "sympy.Expr":
    """Write f(x, y) as a sympy expression in the real symbols ``x`` and ``y``, and positive ones of other leaves.

    Args:
      tree: f(x, y).
      coefficients: the factor of each node in pre-order; integers stay exact.
      protected: use the protected operators. Defaults to False.

    Raises:
      ImportError: sympy is not installed.
      ValueError: the expression may have integers of more than ``MAX_SYMPY_BITS`` bits, or more than
        ``MAX_SYMPY_NODES`` nodes.
    """
    _check_written_out(tree, coefficients, protected)
    try:
        import sympy
    except ImportError:
        raise ImportError("sympy is not installed; it comes with: pip install 'glojax[sympy]'") from None

    class Namespace:
        """The array functions that the grammar calls, by their sympy names."""

        maximum = staticmethod(sympy.Max)
        minimum = staticmethod(sympy.Min)
        abs = staticmethod(sympy.Abs)

        @staticmethod
        def where(condition: Any, chosen: Any, other: Any) -> Any:
            if condition.has(sympy.Piecewise):  # sympy would multiply out nested cases
                sign = sympy.sign(sympy.sign(condition.lts - condition.gts) + sympy.Rational(1, 2))  # 1 at 0
                return (chosen + other) / 2 + sign * (other - chosen) / 2
            return sympy.Piecewise((chosen, condition), (other, True))

        @staticmethod
        def asarray(value: int, dtype: None = None) -> Any:
            return sympy.Integer(value)

        def __getattr__(self, name: str) -> Any:
            return getattr(sympy, name)

    exact = [sympy.Integer(int(value)) if value == int(value) else sympy.Float(value) for value in coefficients]
    x, y = sympy.symbols("x y", real=True)
    leaves = dict(zip(context.LEAVES, sympy.symbols(context.LEAVES, positive=True), strict=True))
    return trees.evaluate(tree, x, y, Namespace(), protected, exact, leaves)


def _check_written_out(tree: Tree, coefficients: Sequence[float], protected: bool) -> None:
    """Refuse an expression that would grow without bound.

    sympy's integers are exact, and a protected denominator is written twice.
    """
    factors = iter(coefficients)

    def visit(node: Tree) -> tuple[int, int]:
        """Bound the bits of integers in the node's value, and count the nodes of its expression."""
        factor = next(factors)
        operands = [visit(child) for child in node.children]
        bits, nodes = sum(bits for bits, _ in operands), 1 + sum(nodes for _, nodes in operands)
        if node.symbol == "power":
            bits = operands[0][0] * 2 ** min(operands[1][0], MAX_SYMPY_BITS.bit_length())
        if isinstance(node.symbol, int):
            bits = node.symbol.bit_length()
        grown = {"+": bits + 1, "-": bits + 1, "square": 2 * bits, "sqrt": (bits + 1) // 2}
        bits = 0 if node.symbol in ("log", "exp", "tanh") else grown.get(str(node.symbol), bits)
        if protected and operands:  # Max, Abs and a constant; Abs; the denominator again; Min; both operands again
            more = {"log": 3, "sqrt": 1, "/": operands[-1][1], "exp": 2, "power": 2 * nodes + 8}
            nodes += more.get(str(node.symbol), 0)
        if abs(factor) != 1 and factor == int(factor):
            bits += int(factor).bit_length()
        if bits > MAX_SYMPY_BITS or nodes > MAX_SYMPY_NODES:
            raise ValueError(
                f"sympy: {short(tree)} may have integers of {bits} bits and {nodes} nodes; at most "
                f"{MAX_SYMPY_BITS} bits and {MAX_SYMPY_NODES} nodes are allowed."
            )
        return bits, nodes

    visit(tree)
