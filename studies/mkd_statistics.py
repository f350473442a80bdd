"""A test whether MKD's students score below their teachers because of their batch statistics.

    python studies/mkd_ablation.py --seeds 0 1 2 3 4
    python studies/mkd_statistics.py --out results

A student's running statistics are averages over strong and weak views, its teacher's over weak views alone. This script
scores every network of the study's finished experiments twice: with the statistics of its training ("trained"), and
with the statistics of all its training images, prepared as for evaluation ("images"). The table gives means over the
seeds, and the change from the first to the second with its 95 % t interval.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

import pandas as pd  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from assay.analysis.statistics import paired  # noqa: E402
from assay.data.normalize import normalize  # noqa: E402
from assay.errors import UserError  # noqa: E402
from assay.experiment import Experiment  # noqa: E402
from assay.method import Method  # noqa: E402
from assay.nets.encoders import normalization_of  # noqa: E402
from assay.nets.network import Network  # noqa: E402
from assay.places import Places  # noqa: E402
from assay.resolve import Resolved, resolve  # noqa: E402
from assay.store import records  # noqa: E402
from assay.store.local import LocalStore  # noqa: E402
from assay.store.store import Store  # noqa: E402
from assay.training.evaluate import evaluate, image_batches  # noqa: E402
from assay.training.model import trained_networks  # noqa: E402
from assay.training.result import stored_weights  # noqa: E402

RESULTS = Path("mkd_ablation") / "quick" / "results.parquet"


@torch.no_grad()
def replace_statistics(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Set the running statistics of every batch norm to the mean over these batches; weights do not change."""
    network.eval()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.train()
    for number, images in enumerate(batches, start=1):
        for layer in layers:
            # The plain mean; the first batch replaces the old statistics. torch's update_bn would set momentum to
            # None, which this project's batch norm reads as 0.
            layer.momentum = 1 / number
        network(images)
    network.eval()


def score_twice(store: Store, key: str) -> dict[str, tuple[float, float]]:
    """Return each network's mIoU in percent, with the statistics of training and with those of the training images."""
    document = records.read_json(store, key, records.EXPERIMENT)
    if document is None:
        raise UserError(f"{store.place(key)} holds no experiment; train the study first.")
    places = Places.from_environment()
    resolved = resolve(Experiment.from_json(document["experiment"]), places)
    if resolved.key != key:
        raise UserError(f"{key} was trained with other data or another version of the code; train the study again.")
    nets = trained_networks(resolved, places, stored_weights(store)).eval()
    before = _mious(resolved, nets, places)
    ids = sorted({*resolved.images.labeled, *resolved.images.unlabeled})
    for network in (net for net in nets.values() if isinstance(net, Network)):  # without FDA's estimators
        pixels = image_batches(resolved.experiment.data.source, ids, None, places)
        replace_statistics(network, (normalize(images, network.normalization) for images, _ in pixels))
    after = _mious(resolved, nets, places)
    return {name: (before[name], after[name]) for name in before}


def _mious(resolved: Resolved, nets: nn.ModuleDict, places: Places) -> dict[str, float]:
    experiment = resolved.experiment
    assert isinstance(experiment.method, Method)
    scores = evaluate(
        experiment.method.predictors(nets),
        experiment.data.source,
        resolved.images.val,
        experiment.recipe.evaluation,
        normalization=normalization_of(experiment.net.encoder),
        places=places,
        device=torch.device("cpu"),
    )
    return {name: 100 * score.miou for name, score in scores.items()}


def score_study(out: Path) -> pd.DataFrame:
    """Return a line for each network of each finished experiment of the study."""
    file = out / RESULTS
    if not file.is_file():
        raise UserError(f"there is no {file}; run studies/mkd_ablation.py --out {out} first.")
    done = pd.read_parquet(file).query("status == 'done'").drop_duplicates("key")
    if done.empty:
        raise UserError(f"{file} has no finished experiment; run studies/mkd_ablation.py --out {out} first.")
    store = LocalStore(out / "store")
    lines = []
    for row, seed, key in done[["row", "seed", "key"]].itertuples(index=False):
        for network, (trained, images) in score_twice(store, key).items():
            lines.append({"row": row, "seed": seed, "network": network, "trained": trained, "images": images})
        print(f"{row}, seed {seed}", file=sys.stderr, flush=True)
    return pd.DataFrame(lines)


def summarize(lines: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds, and the change paired by seed."""
    rows = []
    for (row, network), group in lines.groupby(["row", "network"], sort=False):
        trained, images = (dict(zip(group["seed"], group[name], strict=True)) for name in ("trained", "images"))
        change = paired(trained, images)
        assert change is not None
        rows.append(
            {
                "row": row,
                "network": network,
                "seeds": change.n,
                "trained": group["trained"].mean(),
                "images": group["images"].mean(),
                "change": change.mean,
                "low": change.low,
                "high": change.high,
            }
        )
    return pd.DataFrame(rows)


def main() -> int:
    """Score the networks, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="results", metavar="DIR", help="folder of results (default: results)")
    torch.set_num_threads(1)
    try:
        print(summarize(score_study(Path(parser.parse_args().out))).to_string(index=False, float_format="%.2f"))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
