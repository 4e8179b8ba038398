"""Classifies pictures as aws.greengrass.DLRImageClassification 2.1.x is documented to do it.

    python public_inference.py MODEL_FOLDER PICTURE …

Written from its description (labels from the dict literal in synset.txt; the picture as BGR bytes,
224x224, height first; no other preparation; the best five that reach 0.3). It prints a JSON line
for each picture: its payload's `inference-results`, and all probabilities. The pictures must be
224x224 already: cv2, which it resizes with, then changes nothing, and is not needed here.
"""

import ast
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from edge.classifier import forbid_telemetry

SCORE_THRESHOLD = 0.3
MAX_NO_OF_RESULTS = 5
SHAPE = (224, 224)


def main() -> None:
    forbid_telemetry()
    from dlr import DLRModel

    folder = Path(sys.argv[1])
    synset = ast.literal_eval((folder / "synset.txt").read_text())
    model = DLRModel(str(folder), "cpu")
    for picture in sys.argv[2:]:
        rgb = Image.open(picture).convert("RGB")
        assert rgb.size == SHAPE, f"{picture} would be resized"
        bgr = np.asarray(rgb)[:, :, ::-1]
        probabilities = model.run(np.ascontiguousarray(bgr))[0][0]
        best = np.argsort(probabilities)[::-1][:MAX_NO_OF_RESULTS]
        results = [
            {"Label": synset[index], "Score": str(probabilities[index])}
            for index in best
            if probabilities[index] >= SCORE_THRESHOLD
        ]
        print(json.dumps({"inference-results": results, "all": probabilities.tolist()}))


if __name__ == "__main__":
    main()
