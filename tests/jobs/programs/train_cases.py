# mypy: ignore-errors
"""Trains once per case, all in one process: starting MXNet anew for each would take minutes.

    python train_cases.py JOBS CASES.json FOLDER

Runs in the jobs environment. CASES: {name: {"hyperparameters": {…}, "channels": {name: folder}}}.
Prints JSON: {name: {"lines": [… without times], "files": {name: SHA-256}, "refused": reason}}.
"""

import contextlib
import hashlib
import io
import json
import re
import shutil
import sys
import threading
from pathlib import Path


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    cases = json.loads(Path(sys.argv[2]).read_text())
    folder = Path(sys.argv[3])
    json.dump({name: run(folder / name, case) for name, case in cases.items()}, sys.stdout)


def run(root: Path, case: dict) -> dict:
    import container
    import train

    (root / "input/config").mkdir(parents=True)
    (root / "input/data").mkdir()
    (root / "input/config/hyperparameters.json").write_text(json.dumps(case["hyperparameters"]))
    for name, source in case["channels"].items():
        (root / "input/data" / name).symlink_to(source)
    said, refused = io.StringIO(), ""
    with contextlib.redirect_stdout(said):
        try:
            train.main(container.Container(root, threading.Event()))
        except container.RefusedError as error:
            refused = str(error)
    files = {path.name: sha256(path) for path in sorted((root / "model").glob("*"))}
    shutil.rmtree(root / "checkpoints", ignore_errors=True)
    return {"lines": timeless(said.getvalue()), "files": files, "refused": refused}


def timeless(text: str) -> list[str]:
    """Lines without stamps, folders and speeds."""
    lines = (re.sub(r"^\[[^]]*\] ", "", line) for line in text.splitlines())
    return [line for line in lines if not re.search("Time cost|Speed|Saved", line)]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
