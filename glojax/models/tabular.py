"""A strong network for tables: periodic embeddings of numbers, then fully connected layers with batch normalization."""

from collections.abc import Sequence

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from glojax.models.networks import Linear


class TabularMLP(nn.Module):
    """Numbers are embedded by sines and cosines, and all of it goes through layers with batch normalization.

    A number z of column i becomes relu(W_i [sin(v_i), cos(v_i)] + b_i) with v_i = 2 π c_i z, where the frequencies c_i
    are drawn from a normal distribution and learned. Source: arXiv 2203.05556, section 3.3, "PLR".

        logits, updates = TabularMLP((64, 64, 2)).apply(variables, x, train=True, mutable=["batch_stats"])

    Attributes:
      features: outputs of each layer, the last being the classes.
      numbers: how many of the first columns are embedded; those that follow, such as one-hot columns, are taken as they
        are. Defaults to all.
      frequencies: of each column.
      width: of each column's embedding.
      sigma: deviation of the first frequencies; columns are of deviation 1.
    """

    features: Sequence[int] = (64, 64, 10)
    numbers: int | None = None
    frequencies: int = 8
    width: int = 8
    sigma: float = 0.1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        chex.assert_rank(x, 2)
        count = x.shape[1] if self.numbers is None else self.numbers
        embedded = self._embedded(x[:, :count]) if count else x[:, :0]
        x = jnp.concatenate([embedded, x[:, count:]], axis=1).T
        for width in self.features[:-1]:
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9, axis=0)(Linear(width)(x))
            x = nn.relu(x)
        return Linear(self.features[-1])(x).T

    def _embedded(self, numbers: jax.Array) -> jax.Array:
        """Embeddings ``[batch, numbers * width]``."""
        count = numbers.shape[1]
        frequencies = self.param("frequencies", nn.initializers.normal(self.sigma), (count, self.frequencies))
        shape = (count, 2 * self.frequencies, self.width)
        kernel = self.param("embedding", nn.initializers.lecun_normal(in_axis=1, out_axis=2, batch_axis=0), shape)
        bias = self.param("embedding_bias", nn.initializers.zeros, (count, self.width))
        angles = 2 * jnp.pi * frequencies * numbers[:, :, None]
        waves = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
        found = nn.relu(jnp.einsum("bnf,nfw->bnw", waves, kernel) + bias)
        return found.reshape(len(numbers), -1)
