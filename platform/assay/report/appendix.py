"""The values for the end of a study's page: sizes of networks, trainings without a result, costs of rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from assay.analysis.filled_table import RunState
from assay.analysis.network_sizes import NetworkSize
from assay.analysis.run_summary import Cost, Failure
from assay.report.formatting import NONE, amount, number
from assay.wording import measured_time, plural

SMALL = 64 * 64  # pixels; on smaller images a network's calls take longer than its arithmetic


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizeRow:
    """A network with its size, latency and mIoU."""

    network: str
    uses: tuple[str, ...]  # the rows with this network as their own, and the rows with it as a teacher
    cells: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizeTable:
    """The networks of a study side by side."""

    rows: tuple[SizeRow, ...]
    small_crops: tuple[str, ...]  # crops so small that their latencies do not rank networks on larger images


@dataclasses.dataclass(frozen=True, kw_only=True)
class FailureItem:
    """Trainings that failed or were blocked for one reason."""

    state: RunState
    places: str
    error: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostRow:
    """The trainings of a row, and the time that they took."""

    label: str
    table: str
    cells: tuple[str, ...]


def size_table(sizes: Sequence[NetworkSize]) -> SizeTable | None:
    """Return the table of the networks; None without networks to compare."""
    if not sizes:
        return None
    return SizeTable(rows=tuple(map(_size_row, sizes)), small_crops=_small_crops(sizes))


def _size_row(size: NetworkSize) -> SizeRow:
    uses = (("of", size.rows), ("teaches", size.nested_in))
    return SizeRow(
        network=size.network,
        uses=tuple(f"{use}: {'; '.join(rows)}" for use, rows in uses if rows),
        cells=(
            size.crop,
            amount(size.params, ".3g"),
            amount(size.macs, ".3g"),
            NONE if size.latency_ms is None else f"{size.latency_ms:.3g} ms",
            size.latency_at or NONE,
            str(size.trainings),
            NONE if size.miou is None else " to ".join(dict.fromkeys(map(number, size.miou))),
        ),
    )


def _small_crops(sizes: Sequence[NetworkSize]) -> tuple[str, ...]:
    timed = dict.fromkeys(size.crop for size in sizes if size.latency_ms is not None)
    return tuple(crop for crop in timed if math.prod(map(int, crop.split("x"))) <= SMALL)


def failure_items(failures: Sequence[Failure]) -> tuple[FailureItem, ...]:
    """Return the trainings without a result, each with its seeds and cells."""
    return tuple(
        FailureItem(
            state=failure.state,
            places=f"{_seeds(failure.seeds)} · {'; '.join(failure.places)}",
            error=failure.error,
        )
        for failure in failures
    )


def _seeds(seeds: Sequence[int]) -> str:
    return f"{plural('seed', len(seeds))} {', '.join(map(str, seeds))}"


def cost_row(cost: Cost) -> CostRow:
    """Return the costs of a row's trainings."""
    cells = (
        str(cost.trainings),
        amount(cost.params, ".3g"),
        amount(cost.macs, ".3g"),
        measured_time(cost.seconds),
        measured_time(cost.device_seconds),
    )
    return CostRow(label=cost.row, table=cost.table, cells=cells)
