"""The use of an exported network by somebody who has its folder and torch, and nothing of this package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ALONE = """
import json, sys
sys.modules["assay"] = sys.modules["methods"] = None
import numpy as np, torch
folder, images, answer = sys.argv[1:]
program = torch.export.load(f"{folder}/model.pt2").module()
classes = json.load(open(f"{folder}/model.json"))["classes"]
logits = program(torch.tensor(np.load(images)))
assert logits.shape[1] == len(classes)
np.save(answer, logits.argmax(dim=1).numpy())
"""


def predict_alone(folder: Path, images: np.ndarray, scratch: Path) -> np.ndarray:
    """Return the classes (B x H x W) that another process predicts for images (B x 3 x H x W, uint8)."""
    np.save(scratch / "images.npy", images)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    arguments = [str(folder), str(scratch / "images.npy"), str(scratch / "answer.npy")]
    subprocess.run([sys.executable, "-c", ALONE, *arguments], cwd=scratch, env=environment, check=True, timeout=120)
    classes: np.ndarray = np.load(scratch / "answer.npy")
    return classes
