# What a developer types. Each line also runs by itself; `just --list` names them.
# uv is the README's own: python3 -m pip install -q --target .tools uv

uv := ".tools/bin/uv"

# Some tests of every room, in a minute: by name, for to collect all takes half of that.
fast *options:
    {{uv}} run pytest -q @tests/fast.txt {{options}}

# All tests but the sweeps: what the README's command runs.
test *options:
    {{uv}} run pytest -q {{options}}

# The further points of grids of which the tests take some.
sweeps *options:
    {{uv}} run pytest -q -m sweep {{options}}

# Lint, format, types, spelling.
check:
    {{uv}} run ruff check .
    {{uv}} run ruff format --check .
    {{uv}} run pyright
    {{uv}} run codespell

# The README's and the docstrings' examples, and the links of the pages.
doctest:
    {{uv}} run pytest -q README.md tests/test_examples.py tests/test_flat_api.py tests/test_documents.py

# The documentation site, into docs/_build/html; whatever Sphinx warns of is an error.
docs *options:
    {{uv}} run --group docs sphinx-build -q -W --keep-going -n {{options}} docs docs/_build/html

# Bugs planted one by one, each of which some test must notice; `just mutants --only air` one room's.
mutants *options:
    {{uv}} run python -m tests.mutation {{options}}

# Damaged files, odd values, odd command lines: thousands of examples, from a seed.
fuzz examples="1000" seed="0" *options:
    NTK_AIR_FUZZ_EXAMPLES={{examples}} {{uv}} run pytest -q tests/fuzz --hypothesis-seed={{seed}} {{options}}

# All figures anew from saved results, as PNG and PDF.
figures:
    {{uv}} run -m benchmarks.figures
