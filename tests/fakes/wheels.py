"""Wheels of one empty module each, and a lock file of them: what pip installs in a moment."""

import hashlib
import json
import zipfile
from pathlib import Path

MODULES = {"dlr": "dlr", "numpy": "numpy", "pillow": "PIL", "awsiotsdk": "awsiot"}
VERSION = "1.0"


def make_wheel(folder: Path, package: str, content: str = "") -> str:
    """Write a wheel of `package` into `folder`; the line of a lock file that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{package}-{VERSION}-py3-none-any.whl"
    about = f"{package}-{VERSION}.dist-info"
    module = MODULES[package]
    files = {
        f"{module}/__init__.py": content,
        f"{module}/counter/__init__.py": "",  # where dlr keeps its telemetry setting
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {VERSION}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        record = "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"])
        archive.writestr(f"{about}/RECORD", record)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{package}=={VERSION} --hash=sha256:{digest}\n"


def make_wheels(folder: Path, python: str, content: str = "") -> Path:
    """A folder of all that the component imports, described as backends/local/wheels.py does."""
    lines = [make_wheel(folder, package, content) for package in MODULES]
    (folder / "requirements.txt").write_text("".join(lines))
    (folder / "wheels.json").write_text(json.dumps({"platform": "linux-x86_64", "python": python}))
    return folder
