"""Write docs/configuration.md and config/schema/ from the typed configuration: `python scripts/config_reference.py`.

Run it after changing a model of tlm/config/; a test fails until then.
"""

import json
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.reference import page, read_notes, schemas


def main() -> None:
    notes = read_notes(Path("docs/configuration.yaml"))
    Path("docs/configuration.md").write_text(page(notes), encoding="utf-8")
    folder = Path("config/schema")
    folder.mkdir(exist_ok=True)
    for name, schema in schemas(notes).items():
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_script(main)
