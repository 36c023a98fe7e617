"""Where the time of a template goes on one GPU, and how many bytes a second that makes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np

from gembench.data.workload import Workload
from gembench.engine.bank import TemplateBank
from gembench.study.gpu.traffic import copy_bandwidth, least_bytes


def stages(search: Any, work: Workload) -> dict[str, Any]:
    """Seconds a template of every stage of one search, as the metric `stage_seconds`.

    search: a GPUSearch. Its stages run one after another here, each launch by itself, and not side by side
    from a recorded graph as otherwise; their sum beside the pace tells how far that changes them.
    """
    seconds_of = search.stage_seconds(work.micrograph)
    return {"stage_seconds": {stage: seconds / len(work.bank) for stage, seconds in seconds_of.items()}}


def traffic(search: Any, work: Workload, rate: float) -> dict[str, float]:
    """Bytes a second of one device at `rate` templates a second, beside those of a plain copy.

    least_bytes: see `traffic.least_bytes`; moved_bytes: what the engine's plan moves through L2 or memory
    """
    from gembench.engine.gpu.device import load_cupy

    plan = search.plan
    height, width = plan.micrograph
    cut = int(median(template.mask.shape[0] for template in _some(work.bank)))
    least = least_bytes((height, width), cut, plan.base.dtype, own_mask=plan.owns, batch=2 * plan.pairs,
                        spectrum_bytes=4 if plan.spectra == "half" else None)
    copy, moved = copy_bandwidth(load_cupy()), sum(plan.bytes_moved.values())
    return {
        "copy_bandwidth": copy, "least_bytes": least, "bandwidth": least * rate,
        "bandwidth_share": least * rate / copy, "moved_bytes": moved, "moved_bandwidth": moved * rate,
        "batch_used": 2 * plan.pairs, "device_bytes": plan.bytes, "transform": plan.shape.size,
    }


def _some(bank: TemplateBank) -> Iterator[Any]:
    """A few turned templates of the bank."""
    return (bank.rotated(int(index)) for index in np.linspace(0, len(bank) - 1, 9))


def whole_job(bank: TemplateBank, micrograph: Any, **options: Any) -> float:
    """Seconds from a bank in the host's memory to the maps of one micrograph, kernels having been compiled.

    options: of `open_search`
    """
    from gembench.engine.search import open_search

    start = time.perf_counter()
    with open_search(bank, **options) as search:
        search.run(micrograph)
    return time.perf_counter() - start


def table(rows: Sequence[Any]) -> str:
    """What the GPU study measured on one GPU as text, a line a case; empty if it measured nothing."""
    lines = []
    for row in rows:
        if row.run["experiment"] == "gpus" and row.ok and "stage_seconds" in row.metrics:
            whole = sum(row["stage_seconds"].values())
            shares = ", ".join(f"{stage} {100 * seconds / whole:.0f}"
                               for stage, seconds in row["stage_seconds"].items())
            lines.append(f"{row.name}: {row['templates_per_second']:.0f} templates/s,"
                         f" {100 * row['bandwidth_share']:.0f} % of a copy's"
                         f" {row['copy_bandwidth'] / 1e12:.2f} TB/s,"
                         f" stages in %: {shares} (their sum is {whole / row.median:.2f} of the pace)")
            if "whole_job_seconds" in row.metrics:
                lines[-1] += f", 14,630 templates in {row['whole_job_seconds']:.2f} s"
    return "\n".join(lines)
