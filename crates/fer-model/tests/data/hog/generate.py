"""Descriptors of one made-up picture by `skimage.feature.hog`. Run with `pip install scikit-image==0.26.0`."""

import json
from pathlib import Path

import numpy as np
import skimage
from skimage.feature import hog

assert skimage.__version__ == "0.26.0", skimage.__version__

y, x = np.mgrid[:48, :48]
picture = ((x * x + 3 * x * y + 7 * y) % 256).astype(np.uint8)
golden = [
    {
        "hog": {"orientations": orientations, "cell": cell, "block": block},
        "descriptor": [
            float(f"{value:.8g}")
            for value in hog(picture, orientations, (cell, cell), (block, block), block_norm="L2-Hys")
        ],
    }
    for orientations, cell, block in [(9, 8, 2), (6, 10, 3)]
]
(Path(__file__).parent / "hog-skimage-0.26.0.json").write_text(json.dumps(golden).replace(", ", ",\n") + "\n")
