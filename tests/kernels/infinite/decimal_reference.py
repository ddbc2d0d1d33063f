"""Deep ReLU kernels in 60 decimal digits: slow, plain, and exact in the inputs given."""

import decimal
from decimal import Decimal
from typing import NamedTuple

_CONTEXT = decimal.Context(prec=60)


class Exact(NamedTuple):
    """Values rounded once, from 60 digits."""

    angle: float
    ntk: float
    nngp: float


def _arctan(x: Decimal) -> Decimal:
    for _ in range(8):
        x = x / (1 + (1 + x * x).sqrt())
    total, power, k = Decimal(0), x, 1
    while abs(power) > Decimal(10) ** -70:
        total += power / k
        power, k = -power * x * x, k + 2
    return 256 * total


def _angle(q11: Decimal, q12: Decimal, q22: Decimal, pi: Decimal) -> Decimal:
    """The angle between vectors with these products; a right angle where one is zero."""
    sine = (q11 * q22 - q12 * q12).max(Decimal(0)).sqrt()
    if q12 == 0:
        return pi / 2
    angle = _arctan(sine / q12)
    return angle if q12 > 0 else angle + pi


def relu_kernels(x, y, *, depth: int, weight_variance: float, bias_variance: float) -> Exact:
    """NTK and NNGP of a ReLU network from one pair of vectors, by the textbook recursion."""
    with decimal.localcontext(_CONTEXT):
        pi = 4 * _arctan(Decimal(1))
        x, y = ([Decimal(float(value)) for value in vector] for vector in (x, y))
        w, b = Decimal(weight_variance), Decimal(bias_variance)

        def product(u, v):
            return w * sum((p * q for p, q in zip(u, v, strict=True)), Decimal(0)) / len(u) + b

        q11, q12, q22 = product(x, x), product(x, y), product(y, y)
        between_inputs = _angle(q11 - b, q12 - b, q22 - b, pi)
        ntk = q12
        for _ in range(depth - 1):
            angle = _angle(q11, q12, q22, pi)
            sine = (q11 * q22 - q12 * q12).max(Decimal(0)).sqrt()
            ntk = w * (pi - angle) / (2 * pi) * ntk
            q12 = w * (sine + (pi - angle) * q12) / (2 * pi) + b
            q11, q22 = w * q11 / 2 + b, w * q22 / 2 + b
            ntk += q12
        return Exact(float(between_inputs), float(ntk), float(q12))
