"""What the benchmark of empirical NTKs measures: networks, numbers of inputs, tools, methods."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.peers import NEURAL_TANGENTS, TORCH, PeerEnvironment
from benchmarks.empirical_ntk.networks import parameter_shapes, random_parameters

OURS, BARE = "ntk_air", "matrix products"
MEBIBYTE = 2**20


@dataclasses.dataclass(frozen=True)
class Case:
    """A network with the numbers of inputs to measure it at.

    Attributes:
        name: on the command line and in the rows.
        network: its kind, of ``NETWORKS``.
        options: of its kind.
        features: shape of an input.
        inputs: how many, ascending.
        bounds: by number of inputs, bounds in bytes that our own tool is measured under.
    """

    name: str
    network: str
    options: dict[str, Any]
    features: tuple[int, ...]
    inputs: tuple[int, ...]
    bounds: dict[int, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    @property
    def n_out(self) -> int:
        """The number of outputs."""
        return self.options["widths"][-1] if self.network == "dense" else 10

    @property
    def n_parameters(self) -> int:
        """The number of parameters."""
        shapes = parameter_shapes(self.network, self.options)
        return sum(int(np.prod(shape)) for shape in shapes.values())

    def arrays(self, n: int, precision: str) -> dict[str, np.ndarray]:
        """Parameters by name and inputs ``x``: of the same values in either precision."""
        generator = np.random.default_rng(0)
        arrays = random_parameters(self.network, self.options, generator)
        arrays["x"] = generator.standard_normal((n, *self.features))
        return {name: a.astype(np.float32).astype(precision) for name, a in arrays.items()}


def _dense(name: str, *widths: int, inputs: tuple[int, ...] = (32,), **options: Any) -> Case:
    return Case(name, "dense", {"widths": list(widths)}, (widths[0],), inputs, **options)


CASES = {
    case.name: case
    for case in (
        _dense(
            "dense",
            *(784, 512, 512, 10),
            inputs=(8, 32, 128, 512, 2048),
            bounds={2048: (32 * MEBIBYTE, 64 * MEBIBYTE, 256 * MEBIBYTE)},
        ),
        Case(
            "convolutional",
            "convolutional",
            {"channels": [3, 32, 64, 64], "n_out": 10},
            (32, 32, 3),
            (32, 128, 512, 2048),
            bounds={128: (64 * MEBIBYTE, 256 * MEBIBYTE)},
        ),
        _dense("dense_1_output", 784, 512, 512, 1, inputs=(8, 32, 128)),
        _dense("dense_width_128", 784, 128, 128, 10, inputs=(128,)),
        _dense("dense_width_2048", 784, 2048, 2048, 10, inputs=(16,)),
        _dense("dense_depth_8", 784, *(512,) * 7, 10),
        Case("residual", "residual", {"width": 64, "n_out": 10}, (32, 32, 3), (4,)),
        Case(
            "transformer",
            "transformer",
            {"n_tokens": 16, "features": 32, "width": 128},
            (16, 32),
            (32,),
        ),
    )
}

TINY = _dense("tiny", 3, 4, 2, inputs=(5,))
"""For tests."""


@dataclasses.dataclass(frozen=True)
class Tool:
    """A tool with its methods.

    Attributes:
        name: in the rows.
        script: what runs it.
        environment: where it lives; ``None`` is this project's own.
        methods: what it offers.
    """

    name: str
    script: Path
    environment: PeerEnvironment | None
    methods: tuple[str, ...]


_FOLDER = Path(__file__).with_name("tools")

AS_FUNCTION = "as a function"
"""Our own, checked and planned once and jitted, as theirs is."""

TOOLS = {
    tool.name: tool
    for tool in (
        Tool(OURS, _FOLDER / "ntk_air_tool.py", None, ("auto",)),
        Tool(
            "neural-tangents",
            _FOLDER / "neural_tangents_tool.py",
            NEURAL_TANGENTS,
            (
                "structured derivatives",
                "structured derivatives, default axes",
                "NTK-vector products",
                "jacobian contraction",
            ),
        ),
        Tool("torch.func", _FOLDER / "torch_tool.py", TORCH, ("vmap of jacrev",)),
        Tool(BARE, _FOLDER / "ntk_air_tool.py", None, ("matrix products",)),
    )
}


@dataclasses.dataclass(frozen=True)
class Task:
    """One row to measure."""

    case: Case
    tool: Tool
    method: str
    inputs: int
    precision: str
    max_memory_bytes: int | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells its row from others."""
        return row_key(
            {
                "case": self.case.name,
                "tool": self.tool.name,
                "method": self.method,
                "inputs": self.inputs,
                "precision": self.precision,
                "max_memory_bytes": self.max_memory_bytes,
            }
        )


def row_key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a row from others."""
    names = ("case", "tool", "method", "inputs", "precision", "max_memory_bytes")
    return tuple(row[name] for name in names)


def tasks(case: Case, n: int) -> Iterator[Task]:
    """All rows of a case at one number of inputs, our own tool first."""
    ours = TOOLS[OURS]
    yield Task(case, ours, "auto", n, "float32")
    yield Task(case, ours, AS_FUNCTION, n, "float32")
    for bound in case.bounds.get(n, ()):
        yield Task(case, ours, "auto", n, "float32", bound)
    if n == case.inputs[0]:
        yield Task(case, ours, "auto", n, "float64")
        # What "auto" passed over.
        yield Task(case, ours, "jacobian", n, "float32")
        yield Task(case, ours, "ntk_vector_products", n, "float32")
    if case.name == "dense" and n == case.inputs[-1]:
        yield Task(case, TOOLS[BARE], "matrix products", n, "float32")
    for tool in TOOLS.values():
        if tool.environment is not None:
            for method in tool.methods:
                yield Task(case, tool, method, n, "float32")
