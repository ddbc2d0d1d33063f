"""neural-tangents on the installed JAX: the values of its own JAX, and no trace left in ours."""

import ast
import importlib.metadata
import subprocess
import sys
import textwrap
import threading
import time
import types
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

from ntk_air.kernels.stax import compat as neural_tangents_compat
from ntk_air.kernels.stax.architectures import StaxNTK
from ntk_air.kernels.stax.compat import load_neural_tangents
from tests.helpers.sweeps import one_in
from tests.kernels.golden import neural_tangents_cases as cases

GOLDEN, METADATA = cases.load(Path(cases.__file__).with_name("neural_tangents.npz"))
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
KERNELS = [name.split("/")[1] for name in GOLDEN["float64"] if name.endswith("/ntk_cross")]

pytestmark = [
    pytest.mark.usefixtures("standard_promotion"),
    # Advice that neural-tangents gives wherever these layers are used.
    pytest.mark.filterwarnings("ignore:Numerical Activation Layer:UserWarning"),
    pytest.mark.filterwarnings("ignore:Using JAX autodiff:UserWarning"),
    pytest.mark.filterwarnings("ignore:`FanIn` layers assume:UserWarning"),
    pytest.mark.filterwarnings("ignore:Linear scaling attention used:UserWarning"),
]


@pytest.fixture(scope="module")
def networks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cases.networks(load_neural_tangents().stax)


@pytest.fixture(params=cases.DTYPES)
def dtype(request):
    """A precision, and JAX set to it, as it was for the golden values."""
    with jax.enable_x64(request.param == "float64"):
        yield request.param


def _assert_golden(found, computation, dtype):
    expected = {
        name.removeprefix(f"{computation}/"): value
        for name, value in GOLDEN[dtype].items()
        if name.startswith(f"{computation}/")
    }
    assert set(found) == set(expected)
    for quantity, right in expected.items():
        value = np.asarray(found[quantity])
        assert value.dtype == dtype
        assert value.shape == right.shape
        error = np.abs(value - right) / np.abs(right).max()
        if quantity == "ntk_own":
            # √(1 − c²) at c = 1 makes √ε of a rounding error ε, on JAX 0.4.23 as well.
            assert np.diagonal(error).max() <= np.sqrt(np.finfo(dtype).eps)
            np.fill_diagonal(error, 0)
        assert error.max() <= TOLERANCE[dtype], quantity


def test_golden_values_come_from_the_original():
    assert (METADATA["jax"], METADATA["neural-tangents"]) == ("0.4.23", "0.6.5")
    assert set(GOLDEN) == set(TOLERANCE)


@pytest.mark.parametrize("name", one_in(3, KERNELS))
def test_infinite_width_kernels(networks, dtype, name):
    shape, (_, _, kernel_fn) = networks[name]
    found = cases.kernel_values(kernel_fn, shape, dtype, own=name in cases.OWN)
    _assert_golden(found, f"kernel/{name}", dtype)


@pytest.mark.parametrize("name", one_in(2, cases.LINEARISED))
def test_linearisations(networks, dtype, name):
    shape, network = networks[name]
    found = cases.linearised_values(load_neural_tangents(), network, shape, dtype)
    _assert_golden(found, f"linearised/{name}", dtype)


@pytest.mark.parametrize("name", one_in(2, cases.PRODUCTS))
def test_empirical_products(networks, dtype, name):
    shape, network = networks[name]
    found = cases.empirical_product_values(load_neural_tangents(), network, shape, dtype)
    _assert_golden(found, f"product/{name}", dtype)


@pytest.mark.parametrize(
    ("name", "implementation", "vmap_axes"),
    [
        *(("dense_relu", implementation, None) for implementation in (1, 2, 3)),
        *(("dense_relu", implementation, 0) for implementation in (1, 2, 3)),
        ("conv_pool", 2, None),
        *((name, 3, None) for name in cases.EMPIRICAL[1:]),
    ],
)
def test_empirical_kernels(networks, name, implementation, vmap_axes):
    shape, network = networks[name]
    options = {"implementation": implementation, "vmap_axes": vmap_axes}
    found = cases.empirical_values(load_neural_tangents(), network, shape, "float64", **options)
    _assert_golden(found, f"empirical/{name}", "float64")


@pytest.mark.parametrize("implementation", one_in(3, [1, 2, 3]))
def test_empirical_kernels_in_single_precision(networks, implementation):
    shape, network = networks["dense_relu"]
    with jax.enable_x64(False):
        found = cases.empirical_values(
            load_neural_tangents(), network, shape, "float32", implementation=implementation
        )
    _assert_golden(found, "empirical/dense_relu", "float32")


def test_the_cheapest_empirical_kernel_is_found(networks, capsys):
    nt = load_neural_tangents()
    shape, network = networks["dense_relu"]
    automatic = nt.NtkImplementation.AUTO
    found = cases.empirical_values(nt, network, shape, "float64", implementation=automatic)
    _assert_golden(found, "empirical/dense_relu", "float64")
    assert capsys.readouterr().out.count("flops=") == 3


def test_predictions(networks, dtype):
    shape, network = networks[cases.PREDICTION]
    found = cases.prediction_values(load_neural_tangents(), network, shape, dtype)
    _assert_golden(found, f"prediction/{cases.PREDICTION}", dtype)


def test_monte_carlo_kernels(networks, dtype):
    name = cases.MONTE_CARLO
    shape, network = networks[name]
    # How JAX 0.4.23 drew random numbers, to draw the same networks.
    with jax.threefry_partitionable(False):
        found = cases.monte_carlo_values(load_neural_tangents(), network, shape, dtype)
    _assert_golden(found, f"monte_carlo/{name}", dtype)


@pytest.mark.parametrize("device_count", [0, -1])
def test_batches(networks, device_count):
    name = "dense_erf"
    shape, (_, _, kernel_fn) = networks[name]
    batched = load_neural_tangents().batch(kernel_fn, batch_size=1, device_count=device_count)
    x1, x2 = cases.inputs(shape, "float64")
    cross, own = batched(x1, x2, cases.KERNEL_NAMES), batched(x1, None, cases.KERNEL_NAMES)
    found = {"ntk_cross": cross.ntk, "nngp_cross": cross.nngp}
    found |= {"ntk_own": own.ntk, "nngp_own": own.nngp}
    _assert_golden(found, f"kernel/{name}", "float64")


def test_every_name_that_it_looks_up_exists():
    """All attributes of modules in its sources, for those asked for in calls too."""
    load_neural_tangents()
    # In the two functions that the compatibility module gives it anew.
    unused = {("ad", "reducing_transposes")}
    # Behind a setting that it finds switched off.
    unused |= {("core", "get_aval"), ("core", "lattice_join")}
    found, missing = 0, set()
    for module in [module for name, module in sys.modules.items() if _is_its_module(name)]:
        if getattr(module, "__file__", None) is None:
            continue
        for chain in _attribute_chains(ast.parse(Path(module.__file__).read_text())):
            obj = vars(module).get(chain[0])
            for attribute in chain[1:]:
                if not isinstance(obj, types.ModuleType):
                    break
                found += 1
                if (chain[0], attribute) in unused:
                    break
                if not hasattr(obj, attribute):
                    missing.add(f"{module.__name__}: {'.'.join(chain)}")
                    break
                obj = getattr(obj, attribute)
    assert found > 1000
    assert not missing


def _is_its_module(name):
    return name.partition(".")[0] == "neural_tangents"


def _attribute_chains(tree):
    """Each ``a.b.c`` as ("a", "b", "c")."""
    for node in ast.walk(tree):
        chain = []
        while isinstance(node, ast.Attribute):
            chain.append(node.attr)
            node = node.value
        if chain and isinstance(node, ast.Name):
            yield (node.id, *reversed(chain))


# --- Importing -------------------------------------------------------------------------------


def _run_python(code):
    """Run a fresh interpreter in which every warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_does_not_import_it():
    _run_python(
        """
        import sys
        import ntk_air, ntk_air.kernels
        from ntk_air.kernels.stax import adapter, architectures, compat
        assert not [name for name in sys.modules if name.startswith("neural_tangents")]
        """
    )


def test_it_leaves_no_trace():
    """Also where the user's own attempt failed before."""
    _run_python(
        """
        import sys, warnings
        import ntk_air.kernels.stax.compat as compat
        # What neural-tangents imports of others: their import is no trace of ours.
        import frozendict, jax, jax.example_libraries.stax, jax.experimental.ode
        import jax.scipy.linalg, jax.scipy.special, scipy.special

        try:
            import neural_tangents
        except Exception:
            pass
        else:
            raise AssertionError("neural-tangents needs no help: drop the compatibility module")

        def is_public(name):
            return name.partition(".")[0] in ("jax", "scipy", "numpy") and "._" not in name

        def snapshot():
            modules = {name: sys.modules[name] for name in sys.modules if is_public(name)}
            named = {name: dict(vars(module)) for name, module in modules.items()}
            others = {n for n in sys.modules if not n.startswith("neural_tangents")}
            interpreter = list(sys.meta_path), list(sys.path), list(warnings.filters)
            return modules, named, others, interpreter, dict(jax.config.values)

        before = snapshot()
        nt = compat.load_neural_tangents()
        after = snapshot()
        assert before[0] == after[0] and before[2:] == after[2:]
        for name, attributes in before[1].items():
            assert attributes.keys() == after[1][name].keys(), name
            changed = [a for a in attributes if attributes[a] is not after[1][name][a]]
            assert not changed, (name, changed)
        for gone in ("tree_map", "util"):
            assert not hasattr(jax, gone), gone
        assert not hasattr(jax.core, "Var")
        assert not any(name.startswith(("tensorflow", "tf2jax")) for name in sys.modules)

        import neural_tangents, neural_tangents.experimental
        assert neural_tangents is nt is compat.load_neural_tangents()
        assert [n for n in vars(neural_tangents.experimental) if not n.startswith("__")] == []
        """
    )


@pytest.mark.devices
def test_it_runs_on_several_devices():
    _run_python(
        """
        import os
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
        import jax
        import numpy as np
        from ntk_air.kernels.stax.compat import load_neural_tangents
        nt = load_neural_tangents()
        assert jax.device_count() == 2
        x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
        _, _, kernel_fn = nt.stax.serial(nt.stax.Dense(1), nt.stax.Erf(), nt.stax.Dense(1))
        batched = nt.batch(kernel_fn, batch_size=2, device_count=2)
        np.testing.assert_allclose(batched(x, -x, "ntk"), kernel_fn(x, -x, "ntk"), rtol=1e-5)
        """
    )


@pytest.fixture
def not_imported(monkeypatch):
    """As if neural-tangents had not been imported; puts it back afterwards."""
    for name in filter(_is_its_module, list(sys.modules)):
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in filter(_is_its_module, list(sys.modules)):
        del sys.modules[name]


@pytest.mark.usefixtures("not_imported")
def test_threads_get_one_module(monkeypatch):
    """The second asks while the first is in the midst of the import."""
    midway, really_execute = threading.Event(), neural_tangents_compat._SourceLoader.exec_module

    executed = []

    def execute(loader, module):
        executed.append(module.__name__)
        if module.__name__ == "neural_tangents.stax":
            midway.set()
            time.sleep(0.2)
        really_execute(loader, module)

    monkeypatch.setattr(neural_tangents_compat._SourceLoader, "exec_module", execute)
    found = []
    first = threading.Thread(target=lambda: found.append(load_neural_tangents()))
    first.start()
    assert midway.wait(timeout=60)
    second = load_neural_tangents()
    first.join()
    assert found == [second]
    assert second is sys.modules["neural_tangents"]
    assert len(executed) == len(set(executed)) > 10


@pytest.mark.usefixtures("not_imported")
def test_a_failed_import_leaves_nothing_and_can_be_repeated(monkeypatch):
    finders, real_views = list(sys.meta_path), neural_tangents_compat._views
    # What a user's own attempt may have left behind.
    left_over = types.ModuleType("neural_tangents.stax")
    sys.modules["neural_tangents.stax"] = left_over

    def views_without_var():
        views = real_views()
        del vars(views["jax.core"])["Var"]
        return views

    with monkeypatch.context() as patched:
        patched.setattr(neural_tangents_compat, "_views", views_without_var)
        with pytest.raises(ImportError, match=r"could not be imported on JAX .*Var"):
            load_neural_tangents()
    assert {n: m for n, m in sys.modules.items() if _is_its_module(n)} == {
        "neural_tangents.stax": left_over
    }
    assert sys.meta_path == finders
    assert load_neural_tangents().stax.Dense


@pytest.mark.usefixtures("not_imported")
@pytest.mark.parametrize("version", ["0.4.23", "0.9.2", "0.11.2", "0.13.0", "1.0"])
def test_unknown_jax_is_refused(monkeypatch, version):
    monkeypatch.setattr(jax, "__version__", version)
    message = rf"on JAX 0\.10\.1, 0\.12\.0\.1 and on no other.*got JAX {version}"
    with pytest.raises(ImportError, match=message):
        load_neural_tangents()


@pytest.mark.usefixtures("not_imported")
def test_a_module_that_works_already_is_taken(monkeypatch):
    monkeypatch.setattr(jax, "__version__", "0.4.23")
    theirs = types.ModuleType("neural_tangents")
    monkeypatch.setitem(sys.modules, "neural_tangents", theirs)
    with pytest.raises(ImportError, match=r"got JAX 0\.4\.23"):  # an import that is half done
        load_neural_tangents()
    vars(theirs)["Kernel"] = object
    assert load_neural_tangents() is theirs


@pytest.mark.usefixtures("not_imported")
def test_missing_neural_tangents(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(ImportError, match=r"0\.6\.5 is needed and none is installed"):
        load_neural_tangents()
    with pytest.raises(ImportError, match=r'pip install "ntk-air\[neural-tangents\]"'):
        StaxNTK("conv_gap")


@pytest.mark.usefixtures("not_imported")
def test_another_release_of_neural_tangents(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.6.4")
    with pytest.raises(ImportError, match=r"0\.6\.5 is needed and got 0\.6\.4"):
        load_neural_tangents()
