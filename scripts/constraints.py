"""Write constraints.txt: the version of every package that the project's pins pull into this environment.

Run it in a fresh environment after changing pyproject.toml: `.venv/bin/python scripts/constraints.py`.
"""

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

HEADER = "# Every package below the pins of pyproject.toml. Written by scripts/constraints.py; do not edit.\n"


def closure(root: str, extras: tuple[str, ...]) -> dict[str, str]:
    """Name → version of everything that `root` requires here, itself left out."""
    found: dict[str, str] = {}
    todo = [(root, extras)]
    seen = set()
    while todo:
        name, wanted = todo.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            environments = [{"extra": extra} for extra in wanted or ("",)]
            if requirement.marker and not any(requirement.marker.evaluate(e) for e in environments):
                continue
            key = re.sub(r"[-_.]+", "-", requirement.name).lower()
            try:
                # Without the local part: +cpu is one machine's build, the pin is for all.
                found[key] = distribution(key).version.split("+")[0]
            except PackageNotFoundError:
                continue
            todo.append((key, tuple(sorted(requirement.extras))))
    found.pop(root, None)
    return found


def main() -> None:
    packages = closure("tlm", ("dev",))
    # A CUDA build of torch brings its own exact pins; a CPU environment has none of them to write.
    lines = [
        f"{name}=={version}\n" for name, version in sorted(packages.items()) if not name.startswith("nvidia-")
    ]
    Path("constraints.txt").write_text(HEADER + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
