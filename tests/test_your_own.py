"""docs/your_own.md: every block does what it says, on data that the test makes.

Commands are read, and their data and kernels are made, by what the experiments call; that an
experiment then runs is tested in tests/lab/test_own_kernels.py.
"""

import re
import shlex
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import ntk_air as na
from ntk_air import cli
from ntk_air.lab.catalogue import load_experiment

PAGE = (Path(__file__).parents[1] / "docs/your_own.md").read_text("utf-8")
BLOCK = re.compile(r"(?:<!-- (\w+): ([\w.]+) -->\n)?```(\w+)\n(.*?)```", flags=re.DOTALL)
BLOCKS = [match.groups() for match in BLOCK.finditer(PAGE)]
COMMANDS = [
    line for _, _, kind, code in BLOCKS if kind == "bash" for line in code.splitlines()
]  # fmt: skip
NAMED = {name: code for _, name, _, code in BLOCKS if name}
PYTHON = [code for _, name, kind, code in BLOCKS if kind == "python" and not name]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the page speaks of: a table, a folder of images, arrays with their matrix, a module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    random = np.random.default_rng(0)
    kinds = np.arange(60) % 3
    rows = [
        f"p{i},{30 + 10 * kind + 3 * random.normal():.2f},{['red', 'blue'][i % 2]},"
        f"{['good', 'bad', 'ugly'][kind]}"
        for i, kind in enumerate(kinds)
    ]
    Path("people.csv").write_text("\n".join(["id,age,colour,verdict", *rows]) + "\n")
    for i, kind in enumerate(kinds[:30]):
        Path(f"pictures/{kind}").mkdir(parents=True, exist_ok=True)
        picture = random.integers(1, 255, size=(20, 24, 3)).astype(np.uint8)
        Image.fromarray(picture).save(f"pictures/{kind}/{i}.png")
    inputs = random.normal(size=(60, 4))
    np.savez("arrays.npz", inputs=inputs, labels=kinds)
    np.save("K.npy", inputs @ inputs.T + np.eye(60))
    Path("mine.py").write_text(NAMED["mine.py"])
    yield tmp_path
    sys.modules.pop("mine", None)


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("ntk-air run")])
@pytest.mark.usefixtures("folder", "standard_promotion")
def test_commands_bring_in_data_and_kernel(command):
    _, _, name, *arguments = shlex.split(command)
    config = load_experiment(name).parse(arguments, program=name)
    dataset = config.load()
    kernel, _ = config.kernel.build(dataset, seed=0, precision="float64")
    x = dataset.inputs[:5]
    if not config.kernel.kernel_file:
        assert np.isfinite(kernel(x)).all()
        assert kernel(x, dataset.inputs[5:8]).shape == (5, 3)
    else:
        assert kernel(dataset.inputs).shape == (dataset.n_train,) * 2
    assert dataset.n_test > 0
    assert config.identity() == load_experiment(name).parse(arguments, program=name).identity()


@pytest.mark.parametrize("command", [line for line in COMMANDS if "ntk-air verify" in line])
@pytest.mark.usefixtures("folder", "standard_promotion")
def test_claims_are_checked_on_them(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([*shlex.split(command)[1:], "--n-train", "40", "--jobs", "1"])
    assert not ended.value.code, capsys.readouterr().err
    assert re.search(r"(\d) of \1 hold", capsys.readouterr().out)


def test_every_command_is_tested():
    assert all(re.match(r"ntk-air (run|verify) ", command) for command in COMMANDS)
    assert len(COMMANDS) >= 7


@pytest.mark.parametrize("code", PYTHON, ids=["targets", "table", "rbf"])
@pytest.mark.usefixtures("folder")
def test_blocks_of_python_run(code, capsys):
    assert len([line for line in code.splitlines() if line]) <= 10
    space: dict = {}
    exec(code, space)
    assert capsys.readouterr().out
    auc = na.air_summary(space["problem"]).auc
    assert auc > 0.7


def test_the_matrix_of_a_jacobian_is_the_empirical_kernel(folder):
    """The half of torch's recipe that is the same for every library."""
    w = {"a": jnp.full((4, 3), 0.2), "b": jnp.linspace(0, 1, 6).reshape(3, 2)}
    inputs = np.random.default_rng(1).normal(size=(7, 4))

    def apply_fn(params, x):
        return jnp.tanh(x @ params["a"]) @ params["b"]

    parts = jax.jacrev(apply_fn)(w, jnp.asarray(inputs))
    jacobian = np.concatenate([np.asarray(part).reshape(7, 2, -1) for part in parts.values()], 2)
    exec(NAMED["matrix"], {"jacobian": jacobian})
    np.testing.assert_allclose(np.load("K.npy"), na.empirical_ntk(apply_fn, w, inputs), rtol=1e-12)


def test_torch_s_recipe(folder):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)]
    model = torch.nn.Sequential(*layers).double().eval()
    inputs = np.random.default_rng(1).normal(size=(7, 4))
    space = {"model": model, "inputs": inputs}
    exec(NAMED["torch"] + NAMED["matrix"], space)
    params = {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}

    def apply_fn(p, x):
        hidden = jnp.tanh(x @ p["0.weight"].T + p["0.bias"])
        return hidden @ p["2.weight"].T + p["2.bias"]

    expected = na.empirical_ntk(apply_fn, params, inputs)
    np.testing.assert_allclose(np.load("K.npy"), expected, rtol=1e-12)
