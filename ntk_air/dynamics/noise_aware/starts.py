"""Where noise-aware rounds start from: several, for one may end with classes exchanged."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Start:
    """Where rounds start from, and how free their matrix is.

    Attributes:
        rate: ρ of the symmetric matrix that they start from; ``None`` starts from EM.
        symmetric: whether the matrix stays symmetric, one number.
    """

    rate: float | None
    symmetric: bool = False

    @property
    def description(self) -> str:
        """For a reader."""
        begins = "EM" if self.rate is None else f"symmetric noise of {self.rate:g}"
        return f"{'one rate' if self.symmetric else 'free matrix'}, from {begins}"


STARTS = (
    Start(None),
    Start(0.1),
    Start(0.4),
    Start(0.7),
    Start(0.1, symmetric=True),
    Start(0.4, symmetric=True),
)
