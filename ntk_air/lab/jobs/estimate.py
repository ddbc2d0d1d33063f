"""What a job will take, worked out before it starts; one that cannot fit is refused."""

import dataclasses
import shutil
import time
from typing import Any

import numpy as np

from ntk_air._base.memory import MemoryBudgetError, format_bytes, require_memory
from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.kernels.tiles.tile_folder import DiskSpaceError
from ntk_air.kernels.tiles.tiled import TiledKernel
from ntk_air.lab.jobs.job import Job
from ntk_air.lab.measuring import resident_bytes
from ntk_air.spectrum.krylov.space import space_bytes
from ntk_air.spectrum.krylov.top_modes import expected_products, least_bytes

SAMPLE = 2048
"""Inputs that a job is tried on to estimate its time."""

_RUNTIME_BYTES = 2**28
"""What compiled programs and libraries that are loaded on the way take, at the most seen."""

_MEMORY_WAYS_OUT = {
    "dense": "--operator tiled keeps the kernel on disk, --operator matrix-free keeps it nowhere",
    "sharded": "--operator tiled keeps the kernel on disk; or use more devices",
    "tiled": "use fewer --n-products, a smaller --top-k or --block",
    "matrix-free": "use fewer --n-products, a smaller --top-k or --block",
}


@dataclasses.dataclass(frozen=True)
class StageNeed:
    """What one stage will take: seconds, resident bytes at its peak, bytes left on disk."""

    seconds: float
    peak_bytes: int
    disk_bytes: int = 0


def require_fit(job: Job, *, resident: int | None = None) -> dict[str, StageNeed]:
    """Memory and disk of each stage; seconds are not known yet.

    Args:
        job: what is to be computed.
        resident: bytes that the process holds already; ``None`` looks.

    Raises:
        MemoryBudgetError: a stage needs more than the job may have; names the option that helps.
        DiskSpaceError: tiles that would not fit on their disk.
    """
    free = free_bytes(job, resident=resident)
    resident = job.max_memory_bytes - free
    held = _operator_bytes(job, free)
    columns = sum(matrix.shape[1] for matrix in job.blocks.values())
    columns = min(columns, 2 * job.blocks["signal"].shape[1])  # ỹ lies in the span of y and ζ
    spaces = {
        "quadrature": space_bytes(job.n_rows, columns * (job.n_products + 2), columns),
        "modes": least_bytes(job.n_rows, job.top_k, job.block) if job.top_k else 0,
    }
    needs = {"kernel": StageNeed(0.0, resident + held, _tile_bytes(job))}
    for name, space in spaces.items():
        needs[name] = StageNeed(0.0, resident + held + space)
    for name, need in needs.items():
        require_memory(
            what=f"stage {name!r} with {job.operator} kernel of {job.n} inputs",
            needed_bytes=need.peak_bytes,
            max_bytes=job.max_memory_bytes,
            way_out=f"{_MEMORY_WAYS_OUT[job.operator]}; or raise --max-memory",
        )
    _require_disk(job)
    return needs


def free_bytes(job: Job, *, resident: int | None = None) -> int:
    """What is left for operator and vectors beside what the process holds, or will hold anyway."""
    resident = resident_bytes() if resident is None else resident
    return job.max_memory_bytes - resident - _RUNTIME_BYTES


def memory_shares(job: Job, free: int) -> tuple[int, int]:
    """How what is free is shared out: bounds on the operator, and on the vectors beside it."""
    return job.operator_bytes(free), free - min(_operator_bytes(job, free), free)


def estimate(job: Job) -> dict[str, StageNeed]:
    """Memory, disk and time of each stage, the latter from a trial on a few inputs.

    The trial builds the operator of the first inputs and multiplies with it; a matrix costs
    in proportion to n², products without one to n. Tiles of the trial are read from the system's
    cache: a disk that is slower, and a kernel larger than the cache, take longer.

    Raises:
        MemoryBudgetError: see ``require_fit``.
        DiskSpaceError: likewise.
    """
    needs = require_fit(job)
    sample = min(SAMPLE, job.n)
    bound = job.operator_bytes(free_bytes(job))
    if job.has_all_outputs:
        _require_products(job, bound)
    growth = job.n / sample if job.has_all_outputs else (job.n / sample) ** 2
    trial = job.build(max_memory_bytes=bound, n=sample)  # compiles
    _remove(trial)
    seconds, trial = _timed(lambda: job.build(max_memory_bytes=bound, n=sample))
    width = job.blocks["signal"].shape[1]
    passes = {"quadrature": job.n_products + 1, "modes": expected_products(job.top_k, job.block)}
    widths = {"quadrature": 2 * width, "modes": job.block}
    rate = _multiplications_a_second()
    needs["kernel"] = dataclasses.replace(needs["kernel"], seconds=seconds * growth)
    for name, most in passes.items():
        if not most:
            continue
        count = min(most, -(-job.n_rows // widths[name]))  # then nothing is left to find
        product = _seconds_a_product(trial, widths[name]) * growth
        # Twice against all columns so far, there and back.
        columns = min(widths[name] * count, job.n_rows)
        orthogonalised = 4 * job.n_rows * columns**2 / 2 / rate
        needs[name] = dataclasses.replace(needs[name], seconds=count * product + orthogonalised)
    _remove(trial)
    return needs


def describe(needs: dict[str, StageNeed], job: Job) -> str:
    """The estimate for a reader, one line a stage."""
    lines = [f"estimate, of at most {format_bytes(job.max_memory_bytes)} resident:"]
    for name, need in needs.items():
        disk = f", {format_bytes(need.disk_bytes)} on disk" if need.disk_bytes else ""
        lines.append(
            f"  {name:<12} about {_duration(need.seconds):>8}, at most "
            f"{format_bytes(need.peak_bytes)}{disk}"
        )
    total = sum(need.seconds for need in needs.values())
    return "\n".join([*lines, f"  {'in all':<12} about {_duration(total):>8}"])


def _require_products(job: Job, bound: int) -> None:
    """Refuse products of all outputs that do not fit; nothing is computed."""
    try:
        job.build(max_memory_bytes=bound)
    except MemoryBudgetError as error:
        raise MemoryBudgetError(
            f"{error}; two fifths of what is free go to it: raise --max-memory"
        ) from error


def _operator_bytes(job: Job, free: int) -> int:
    """What the operator holds at its peak."""
    if job.operator not in ("dense", "sharded"):
        return job.operator_bytes(free)
    matrix = job.n**2 * job.inputs.dtype.itemsize
    # Building it, some tiles beside it.
    return matrix + 2**28 if job.n > SAMPLE else 2 * matrix + 2**26


def _tile_bytes(job: Job) -> int:
    return job.n * (job.n + 1) // 2 * job.inputs.dtype.itemsize if job.operator == "tiled" else 0


def _require_disk(job: Job) -> None:
    needed = _tile_bytes(job)
    if not needed or job.tiles.exists():
        return  # a folder already begun is asked for by the build itself
    existing = next(each for each in (job.tiles, *job.tiles.parents) if each.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DiskSpaceError(
            f"the tiles of {job.n} inputs need {format_bytes(needed)} on disk and {existing} has "
            f"{format_bytes(free)} free: choose another folder with --tiles, --precision float32, "
            "or --operator matrix-free"
        )


def _remove(trial: KernelOperator) -> None:
    if isinstance(trial, TiledKernel):
        shutil.rmtree(trial.files.folder)


def _seconds_a_product(operator: KernelOperator, width: int) -> float:
    vectors = np.random.default_rng(0).standard_normal((operator.shape[0], width))
    vectors = vectors.astype(operator.dtype)
    np.asarray(operator.matvec(vectors))  # compiles
    # The least of three: what else runs on the machine only adds.
    return min(_timed(lambda: np.asarray(operator.matvec(vectors)))[0] for _ in range(3))


def _multiplications_a_second() -> float:
    tall, small = np.ones((20_000, 128)), np.ones((128, 32))
    seconds = min(_timed(lambda: tall @ small)[0] for _ in range(3))
    return tall.size * small.shape[1] / max(seconds, 1e-6)


def _timed(work: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
