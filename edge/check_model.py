"""Says whether this component could serve a model, from a process of its own.

    python -m edge.check_model --model FOLDER

The model component runs it before it points at a new model: what a broken library does to this
process, it does not do to the one that serves.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Optional

from edge.classifier import Classifier
from edge.model_folder import ModelFolderError, NewerFormatError

REFUSED = 3
"""Exit status: the model cannot be served; standard error says why in a line."""


def main(arguments: Optional[List[str]] = None) -> int:
    """Load the model and ask it its self-test picture; exit status 0, or REFUSED."""
    parser = argparse.ArgumentParser(description="Check a model as the component would serve it.")
    parser.add_argument("--model", type=Path, required=True)
    folder = parser.parse_args(arguments).model
    try:
        classifier = Classifier(folder)
    except NewerFormatError as error:
        sys.stdout.write(f"{error}; not checked, the newer one will\n")
        return 0
    except ModelFolderError as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    done = "self-test passed" if classifier.metadata.self_test else "it has no self-test picture"
    sys.stdout.write(f"{folder}: sound, {len(classifier.labels)} labels, {done}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
