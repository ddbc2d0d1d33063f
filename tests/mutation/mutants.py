"""The list of planted bugs, and where each of them is planted."""

import dataclasses
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LISTS = Path(__file__).parent / "lists"


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A single change of the package that some test must notice.

    Attributes:
        name: room and number.
        file: file of the package, below ``ntk_air/``.
        before: text that stands there once.
        after: text in its place.
        tests: tests that must notice, files or folders below ``tests/``; by default the mirror.
        survives: reason why no test can notice, or need not: such a mutant is not counted.
    """

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...] = ()
    survives: str = ""

    def planted_in(self, source: str) -> str:
        """The source with the bug in it.

        Raises:
            ValueError: the text is not there, or more than once.
        """
        if (count := source.count(self.before)) != 1:
            raise ValueError(
                f"{self.name}: {self.before!r} must stand once in {self.file}; it is there "
                f"{count} times"
            )
        return source.replace(self.before, self.after)

    def mirrored_tests(self) -> list[str]:
        """The tests of the file, or else those of its room."""
        if self.tests:
            return [f"tests/{name}" for name in self.tests]
        path = Path("tests") / self.file
        mirror = path.with_name(f"test_{path.name}")
        room = next(each for each in mirror.parents if (ROOT / each).is_dir())
        return [str(mirror if (ROOT / mirror).exists() else room)]


def mutants() -> Iterator[Mutant]:
    """All of the lists, in order."""
    for path in sorted(LISTS.glob("*.toml")):
        for number, entry in enumerate(tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]):
            entry["tests"] = tuple(entry.get("tests", ()))
            yield Mutant(**{"name": f"{path.stem}-{number + 1}"} | entry)
