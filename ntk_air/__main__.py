"""``python -m ntk_air`` is ``ntk-air``."""

from ntk_air.cli import main

if __name__ == "__main__":
    main()
