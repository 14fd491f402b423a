"""How large a model counts on the wire and in simulated time: as large as it is, or as a nominal one.

A run may train a small stand-in and carry the sizes and durations of a model with up to 10^8 parameters: its
cost profile. Every size of a message and every duration that grows with the model is asked for here, none is
taken from a vector; what is learned, hashed and judged are the stand-in's own numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

FLOAT_BYTES = 4


@dataclass(frozen=True)
class SizeModel:
    """Sizes of one run's model.

    Parameters
    ----------
    real : int
        Parameters of the model that is trained.
    nominal : int
        Parameters that sizes and durations are those of; equal to `real` in an ordinary run.
    gradient_flops : float
        Operations of one gradient over a batch.

    Examples
    --------
    >>> sizes = SizeModel(650, 11_200_000, 1e12)
    >>> sizes.part_bytes(16), sizes.vector_bytes()
    (2800000, 44800000)
    """

    real: int
    nominal: int
    gradient_flops: float

    @property
    def is_profile(self) -> bool:
        """Whether the sizes are those of another model than the one that is trained."""
        return self.nominal != self.real

    def scaled(self, amount: int) -> int:
        """Return an amount that grows with the model, for instance bytes of optimiser state."""
        return -(-amount * self.nominal // self.real)

    def vector_entries(self, held: int | None = None) -> int:
        """Return the entries of a gradient; `held` says how many it has if that may be a wrong number."""
        return self.nominal if held is None or held == self.real else self.scaled(held)

    def vector_bytes(self, held: int | None = None) -> int:
        """Return the size of a gradient or of the parameters as float32."""
        return FLOAT_BYTES * self.vector_entries(held)

    def part_entries(self, n_parts: int, held: int | None = None) -> int:
        """Return the entries of one of `n_parts` parts; `held` as for :meth:`vector_entries`."""
        fits = held is None or held == -(-self.real // n_parts)
        return -(-self.nominal // n_parts) if fits else self.scaled(held or 0)

    def part_bytes(self, n_parts: int, held: int | None = None) -> int:
        """Return the size of one of `n_parts` parts as float32."""
        return FLOAT_BYTES * self.part_entries(n_parts, held)
