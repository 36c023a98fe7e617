"""Every reader of files: whole files to begin with, most from our own writers, and ways to damage them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import logging
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from mutations import (
    BYTES,
    JSON,
    TEXT,
    TOML_TEXT,
    Mutation,
    jpeg_segment,
    mrc_field,
    npy_header,
    png_chunk,
    repacked,
    tar_member,
    tiff_entry,
    word,
)
from PIL import Image

from gembench.data import acquire
from gembench.data.sets import open_set
from gembench.engine.picks import Picks
from gembench.errors import InputError
from gembench.io.coordinates import Optics, read_coordinates, write_coordinates
from gembench.io.coordinates.star.optics import optics_of
from gembench.io.coordinates.star.write import write_list
from gembench.io.euler import read_euler
from gembench.io.images.find import find_micrographs
from gembench.io.images.micrographs import read_micrograph, read_shape
from gembench.io.images.mrc import read_stack, read_volume, stack_contrast, write_mrc, write_stack
from gembench.picking.folder import PickFolder
from gembench.picking.record import read_record
from gembench.study.declare.cases import Case, parse_selector
from gembench.study.declare.experiment import Experiment
from gembench.study.measure.store import Row, RunWriter, load_rows, read_run
from gembench.study.tell.claims import judge_all, ledger_json, load_claims
from gembench.study.tell.claims.expression import NotTestableError, RowsFailedError, evaluation
from gembench.study.tell.claims.language import parse
from gembench.study.tell.code import Code
from gembench.study.tell.history import load_history, load_measurements
from gembench.study.tell.page.gallery import load_figures
from gembench.study.tell.tables import provenance_sentence, stability_warning, table_of

SHAPE = (24, 32)
EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SMALL = 64 * 2**20  # bytes that the reader of a small text or table may take
IMAGE = 640 * 2**20  # bytes that an image may: what is free under the limit of the fuzzer


@dataclass(frozen=True)
class Reader:
    """One reader, or several that read the same files.

    seeds: writes whole files into a folder, names them; read: what is to hold
    memory: bytes that it may take at once, beside ten times the file
    """

    name: str
    seeds: Callable[[Path], list[Path]]
    read: Callable[[Path], object]
    mutations: tuple[Mutation, ...]
    memory: int = SMALL


def pixels(shape: tuple[int, ...] = SHAPE) -> Any:
    """An image that shows something."""
    return np.random.default_rng(1).normal(120, 30, shape)


def picks(name: str = "m1", number: int = 4) -> Picks:
    """Some picks with all that can be known of them."""
    rng = np.random.default_rng(2)
    return Picks(
        name,
        rng.uniform(0, 32, number),
        rng.uniform(0, 24, number),
        rng.uniform(0, 1, number),
        template=np.arange(number),
        view=np.arange(number) % 2,
        psi=rng.uniform(0, 360, number),
        label=np.array(["side", "top"] * (number // 2)),
        pixel_size=2.0,
    )


def _mrc(folder: Path) -> list[Path]:
    write_mrc(folder / "a.mrc", pixels(), 2.0)
    (folder / "b.mrc").write_bytes(
        (folder / "a.mrc").read_bytes()[:1024].replace(b"MAP ", b"\0\0\0\0")
        + (folder / "a.mrc").read_bytes()[1024:]
    )
    return [folder / "a.mrc", folder / "b.mrc"]


def _packed(folder: Path) -> list[Path]:
    whole = _mrc(folder)[0].read_bytes()
    (folder / "a.mrc.gz").write_bytes(gzip.compress(whole))
    (folder / "a.mrc.bz2").write_bytes(bz2.compress(whole))
    return [folder / "a.mrc.gz", folder / "a.mrc.bz2"]


def _stacks(folder: Path) -> list[Path]:
    write_stack(folder / "t.mrcs", pixels((3, 12, 16)), 2.0, "dark")
    write_mrc(folder / "v.mrc", pixels((6, 6, 6)), 2.0)
    return [folder / "t.mrcs", folder / "v.mrc"]


def _tiffs(folder: Path) -> list[Path]:
    image = pixels()
    ways: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("a", image.astype(np.float32), {}),
        ("b", image.astype(np.uint16), {"compression": "zlib"}),
        ("c", image.astype(np.uint8), {"tile": (16, 16)}),
        ("d", image.astype(np.int16), {"rowsperstrip": 5}),
        ("e", image.astype(np.uint8), {"bigtiff": True}),
        ("f", image.astype("f8"), {"predictor": None}),
        ("g", np.stack([image.astype(np.uint8)] * 3, -1), {"photometric": "rgb"}),
    )
    for name, data, options in ways:
        tifffile.imwrite(folder / f"{name}.tif", data, **options)
    Image.fromarray(image.astype(np.uint8)).save(folder / "h.tif", compression="tiff_lzw")
    Image.fromarray(image > 120).save(folder / "i.tif", compression="group4")
    return sorted(folder.glob("*.tif"))


def _pictures(suffix: str) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        image = Image.fromarray(pixels().astype(np.uint8))
        for mode in ("L", "RGB") if suffix == ".jpg" else ("L", "RGB", "RGBA", "P", "1", "I;16"):
            turned = Image.fromarray(pixels().astype(np.uint16)) if mode == "I;16" else image.convert(mode)
            turned.save(folder / f"{mode.replace(';', '')}{suffix}")
        return sorted(folder.glob(f"*{suffix}"))

    return write


def _image(path: Path) -> None:
    read_shape(path)
    read_micrograph(path, pixel_size=2.0)


def _stack(path: Path) -> None:
    stack_contrast(path)
    (read_stack if path.suffix == ".mrcs" else read_volume)(path, pixel_size=2.0)


def _coordinates(*forms: tuple[str, str]) -> Callable[[Path], list[Path]]:
    """A writer of files of these formats, each in the style named behind it."""

    def write(folder: Path) -> list[Path]:
        files = []
        for number, (form, style) in enumerate(forms):
            several = form in ("star", "csv", "tsv", "cryosparc", "topaz")
            parts = [picks("m1"), picks("m2", 2)] if several else [picks()]
            suffix = {
                "cryosparc": "cs",
                "eman": "json",
                "gempicker": "txt",
                "topaz": "txt",
                "plain": "coords",
                "xmipp": "pos",
            }.get(form, form)
            path = folder / f"{form}{number}.{suffix}"
            if form in ("topaz", "gempicker", "plain", "xmipp"):
                path = folder / f"m{number}.{suffix}"
            (file,) = write_coordinates(
                path if several else folder / f"of-{form}",
                parts,
                format=form,
                box_size=8,
                shape=SHAPE,
                style=style or "3.1",
                optics=Optics(300, 2.7, 0.1),
            )
            files.append(file.rename(path))
        return files

    return write


def _picks(path: Path) -> None:
    read_coordinates(path, shape=SHAPE, flip_y=True)
    read_coordinates(path, shape=SHAPE, micrograph="m1")


def _lists(folder: Path) -> list[Path]:
    write_coordinates(folder / "m1.star", [picks("m1")])
    write_mrc(folder / "m1.mrc", pixels(), 2.0)
    write_list(folder / "autopick.star", [("m1.mrc", "m1.star")])
    (folder / "list.txt").write_text("m1.mrc\n# a comment\nm1.mrc\n")
    return [folder / "autopick.star", folder / "list.txt"]


def _list(path: Path) -> None:
    for read in (find_micrographs, optics_of):
        try:
            read([path])
        except ValueError as error:
            last = error
            continue
        last = None
    if path.suffix == ".star":
        read_coordinates(path, shape=SHAPE)
    if last:
        raise last


def _angles(folder: Path) -> list[Path]:
    (folder / "a.txt").write_text("# rot tilt psi\n0 90 0\n45.5, 30, -12\n")
    (folder / "b.star").write_text(
        "data_particles\n\nloop_\n_rlnAngleRot #1\n_rlnAngleTilt #2\n_rlnAnglePsi #3\n0 90 0\n45.5 30 -12\n"
    )
    return [folder / "a.txt", folder / "b.star"]


SETTINGS = {"pixel_size": 2.0, "peaks": {"rule": "nms", "threshold": 0.3}, "templates": "0" * 64}


def _records(folder: Path) -> list[Path]:
    record = {
        "settings": SETTINGS,
        "runs": [
            {
                "start": "2026-11-27T06:40:00.000+00:00",
                "end": "2026-11-27T06:41:00.000+00:00",
                "argv": ["gembench"],
                "process": {"host": "node7", "pid": 12, "since": "2026-11-27T06:39:00+00:00"},
                "machine": {"cpu": "x"},
                "micrographs": ["m1"],
                "seconds": 1.5,
            }
        ],
        "micrographs": {
            "m1": {"file": "m1.mrc", "bytes": 4096, "changed": 1, "picks": 4, "seconds": 0.1},
            "m2": {"file": "m2.mrc", "error": "m2.mrc: is empty"},
        },
    }
    (folder / "run.json").write_text(json.dumps(record, indent=1))
    return [folder / "run.json"]


def _record(path: Path) -> None:
    folder = path.with_name("out")
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    write_mrc(path.with_name("m1.mrc"), pixels(), 2.0)
    micrographs = [path.with_name("m1.mrc")]
    (folder / "run.json").write_bytes(path.read_bytes())
    write_coordinates(folder / "m1.star", [picks()])
    read_record(folder)
    opened = PickFolder(folder, SETTINGS, micrographs=micrographs)
    if not opened.is_picked(micrographs[0]):
        opened.start({"start": "2026-11-27T06:42:00.000+00:00", "argv": []}, micrographs)
        opened.fail(micrographs[0], "m1.mrc: is empty")
    opened.finish()


def _sets(folder: Path) -> list[Path]:
    (folder / "set.json").write_text(
        json.dumps({"pixel_size": 2.0, "source": "https://x", "sha256": "0" * 64, "annotations": "by eye"})
    )
    return [folder / "set.json"]


def _set(path: Path) -> None:
    (path.parent / "micrographs").mkdir(exist_ok=True)
    write_mrc(path.parent / "micrographs" / "m1.mrc", pixels(), 2.0)
    Path(path).rename(path.with_name("set.json"))
    open_set(path.parent)


EXPERIMENT = Experiment(
    name="toy",
    title="A toy",
    paper="Fig. 9",
    run=lambda inputs, case: 0,
    check=lambda *_: None,
    compare="arm",
    grids=dict.fromkeys(  # noqa: RUF024
        ("quick", "default", "paper"), [Case(arm=a, n=n) for a in ("x", "y") for n in (1, 2, 3)]
    ),
)
EXPRESSIONS = (
    'median(time, arm="x")',
    'ratio(time, "arm", "x", "y", n=[1, 2])',
    'share(right, all, arm="x")',
    'exponent(time, "n") - linear(memory, "n") * 2',
    "count(n=2) > 3 and max(values(time)) < 1e3",
    'last(time, "n", arm="y") / first(time, "n", arm="y")',
    '-logarithmic(right, "n")',
)
TOY_CLAIM = """[[claim]]
id = "x-faster"
where = "Fig. 9"
statement = "x is faster"
paper = "faster"
experiment = "toy"
expression = 'min(ratio(time, "arm", "y", "x"))'
order = 1
reproduced = [1.0, inf]
partly = [1.0, inf]
why = "An ordering."
holds = [{ n = 1, arm = ["y", "x"], time = [1.2, 1.0] }]
fails = [{ n = 1, arm = ["y", "x"], time = [1.0, 1.2] }]
"""


def _stores(folder: Path) -> list[Path]:
    record = {
        "experiment": "toy",
        "grid": "default",
        "rounds": 2,
        "time_limit": 30,
        "planned": ["toy[arm=x,n=1]"],
        "resumed_from": [],
        "started": "2026-11-27T06:40:00+00:00",
        "argv": ["gembench", "run"],
        "commit": "a" * 40,
        "dirty": False,
        "source_hash": "b" * 64,
        "libraries": {"numpy": "2.0"},
        "thread_environment": {},
        "load": [0.1, 0.2, 0.3],
        "machine": {
            "name": "node7",
            "cpu": "a CPU",
            "cores": 2,
            "physical_cores": 2,
            "affinity": [0, 1],
            "governor": None,
            "ram": 2**34,
            "gpus": [{"name": "GPU", "memory": 2**36}],
            "system": "Linux",
        },
    }
    with RunWriter(folder, record) as writer:
        for number, case in enumerate(EXPERIMENT.grids["default"]):
            metrics = {
                "right": number,
                "all": 10,
                "right_interval": [0, 5],
                "work": "all of it",
                "list": [1, None],
            }
            writer.write(
                Row(
                    case,
                    "ok" if number else "failed",
                    "" if number else "it broke",
                    (0.1, 0.2),
                    (0.3,),
                    metrics,
                    10**8,
                    1,
                    "wall",
                    2,
                )
            )
    return [writer.path.rename(folder / "rows.jsonl")]


def _store(path: Path) -> None:
    read_run(path)
    folder = path.parent / "results" / "node7" / "toy"
    folder.mkdir(parents=True, exist_ok=True)
    path.replace(folder / "a.jsonl")
    tell_all(load_rows(path.parent / "results", "toy"))


def tell_all(rows: list[Row]) -> None:
    """All that is said of rows in text: tables, verdicts, their sentences."""
    claims = load_claims(TOY)
    machines = sorted({row.machine for row in rows})
    ledger_json(judge_all(claims, {"toy": rows}, machines, {"toy": EXPERIMENT}))
    table_of(EXPERIMENT, rows, machines)
    for text in EXPRESSIONS:
        _evaluated(text, rows)
    for machine in machines:
        own = [row for row in rows if row.machine == machine]
        provenance_sentence(own, Code.of(EXPERIMENT))
        stability_warning(own)


TOY = Path("toy-claims.toml")  # written by `prepare` into the folder of the fuzzer
ROWS: list[Row] = []


def prepare(folder: Path) -> None:
    """Write what readers need beside the file that is read."""
    global TOY
    logging.getLogger("gembench").setLevel(logging.CRITICAL)
    TOY = folder / "toy-claims.toml"
    TOY.write_text(TOY_CLAIM)
    ROWS[:] = read_run(_stores(folder)[0])


def _evaluated(text: str, rows: list[Row]) -> None:
    parse(text)
    try:  # noqa: SIM105
        evaluation(text, rows)
    except (NotTestableError, RowsFailedError):
        pass


def _texts(suffix: str, *texts: str) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        files = [folder / f"{number}{suffix}" for number in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        return files

    return write


def _asv(folder: Path) -> list[Path]:
    content = {
        "commit_hash": "a" * 40,
        "date": 1.7e12,
        "params": {"arch": "x86_64"},
        "python": "3.11",
        "version": 2,
        "result_columns": ["result", "params", "version", "started_at", "stats_q_25", "stats_q_75"],
        "results": {
            "exact.Time.time_search": [[0.1, None], [["256", "512"]], "v", 17, [0.09, None], [0.2, None]],
            "exact.Time.peakmem": [[1e8], [], "v", 17],
            "broken": [None, [], "v"],
        },
    }
    (folder / "a.json").write_text(json.dumps(content))
    return [folder / "a.json"]


def _history(path: Path) -> None:
    folder = path.parent / "asv" / "node7"
    folder.mkdir(parents=True, exist_ok=True)
    path.replace(folder / "a.json")
    for series in load_history(folder.parent):
        series.polyline()
        str(series.change)
    load_measurements(folder.parent, "node7", "a" * 40)


def _benchmarks(folder: Path) -> list[Path]:
    (folder / "b.json").write_text(json.dumps({"exact.Time.time_search": {"unit": "seconds", "params": []}}))
    return [folder / "b.json"]


def _benchmark(path: Path) -> None:
    folder = path.parent / "asv" / "node7"
    folder.mkdir(parents=True, exist_ok=True)
    _asv(folder)
    path.replace(folder.parent / "benchmarks.json")
    load_history(folder.parent)


def _tars(folder: Path) -> list[Path]:
    for name, mode in (("a.tar", "w"), ("b.tar.gz", "w:gz")):
        with tarfile.open(folder / name, mode) as tar:
            for number in range(3):
                member = tarfile.TarInfo(f"set/m{number}.mrc")
                content = b"x" * 2000
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return [folder / "a.tar", folder / "b.tar.gz"]


def _archive(path: Path) -> None:
    target = path.parent / "unpacked"
    try:
        acquire._unpack(path, "https://x/a.tar", target)
    except OSError as error:  # which the caller of it says
        raise InputError(str(error)) from error
    assert not [file for file in path.parent.parent.rglob("passwd")]  # noqa: C416


def _arrays(folder: Path) -> list[Path]:
    np.savez_compressed(folder / "a.npz", maps=pixels(), text=np.array(["a", "b"]))
    np.savez(folder / "b.npz", curve=np.arange(5))
    return [folder / "a.npz", folder / "b.npz"]


def _array(path: Path) -> None:
    beside = path.parent / "rows"
    beside.mkdir(exist_ok=True)
    path.replace(beside / path.name)
    str(Row(Case(n=1), "ok", arrays_file=path.name, path=path.parent / "rows.jsonl").arrays)


READERS = {
    reader.name: reader
    for reader in (
        Reader("mrc", _mrc, _image, (mrc_field, mrc_field, *BYTES), IMAGE),
        Reader(
            "mrc.gz",
            _packed,
            _image,
            (*repacked(gzip.compress, mrc_field, *BYTES), *repacked(bz2.compress, mrc_field, *BYTES), *BYTES),
            IMAGE,
        ),
        Reader("stacks", _stacks, _stack, (mrc_field, mrc_field, *BYTES), IMAGE),
        Reader("tif", _tiffs, _image, (tiff_entry, tiff_entry, tiff_entry, *BYTES), IMAGE),
        Reader("png", _pictures(".png"), _image, (png_chunk, png_chunk, *BYTES), IMAGE),
        Reader("jpg", _pictures(".jpg"), _image, (jpeg_segment, jpeg_segment, *BYTES), IMAGE),
        Reader(
            "star", _coordinates(("star", "3.1"), ("star", "3.0"), ("cbox", ""), ("xmipp", "")), _picks, TEXT
        ),
        Reader("tables", _coordinates(("csv", ""), ("tsv", ""), ("topaz", "")), _picks, TEXT),
        Reader("texts", _coordinates(("box", ""), ("gempicker", ""), ("plain", "")), _picks, TEXT),
        Reader("eman", _coordinates(("eman", "")), _picks, JSON),
        Reader(
            "cryosparc", _coordinates(("cryosparc", "")), _picks, (npy_header, npy_header, npy_header, *BYTES)
        ),
        Reader("lists", _lists, _list, TEXT),
        Reader("angles", _angles, read_euler, TEXT),
        Reader("run.json", _records, _record, JSON),
        Reader("set.json", _sets, _set, JSON),
        Reader("rows", _stores, _store, JSON),
        Reader("arrays", _arrays, _array, (npy_header, *BYTES)),
        Reader("asv", _asv, _history, JSON),
        Reader("asv benchmarks", _benchmarks, _benchmark, JSON),
        Reader("claims", _texts(".toml", TOY_CLAIM), load_claims, TOML_TEXT),
        Reader(
            "figures",
            _texts(".toml", (EXPERIMENTS / "figures.toml").read_text()[:1500].rpartition("[[figure]]")[0]),
            load_figures,
            TOML_TEXT,
        ),
        Reader(
            "expressions",
            _texts(".txt", *EXPRESSIONS),
            lambda path: _evaluated(path.read_text(errors="replace"), ROWS),
            (*TEXT, word),
        ),
        Reader(
            "selectors",
            _texts(".txt", "toy[arm=x,n=1]", 'toy[arm="a,b",n=1.5e3,w=none]', "toy"),
            lambda path: parse_selector(path.read_text(errors="replace")),
            TEXT,
        ),
        Reader(
            "archives",
            _tars,
            _archive,
            (tar_member, tar_member, *BYTES, *repacked(gzip.compress, tar_member, *BYTES)),
        ),
    )
}
