"""Files as programs and people of the field write them, judged: the right counts, or one line."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

import gembench
from gembench.cli import main
from gembench.io.images.mrc import write_mrc

XY = [(120.5, 340.25), (400, 512), (777.75, 88), (910, 930)]
SCORES = [0.91, 0.85, 0.62, 0.4]
TRUTH = "micrograph,x,y\n" + "".join(f"m{n}.mrc,{x},{y}\n" for n in (1, 2) for x, y in XY)
TRUTH_1 = "micrograph,x,y\n" + "".join(f"m1.mrc,{x},{y}\n" for x, y in XY)
COLUMNS = "_rlnCoordinateX #1\n_rlnCoordinateY #2\n_rlnAutopickFigureOfMerit #3\n_rlnMicrographName #4\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str, text: str | bytes) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def rows(name: str = "MotionCorr/job002/Mics/m{}.mrc", micrographs: tuple[int, ...] = (1, 2),
         scores: tuple[object, ...] = tuple(SCORES)) -> str:
    return "".join(f"{x} {y} {score} {name.format(n)}\n"
                   for n in micrographs for (x, y), score in zip(XY, scores, strict=True))


def block(name: str = "MotionCorr/job002/Mics/m{}.mrc", title: str = "data_particles",
          **options: object) -> str:
    return f"{title}\n\nloop_\n{COLUMNS}{rows(name, **options)}\n"


def score(picks: str, truth: str = TRUTH, *options: str) -> dict[str, object]:
    if "\n" in truth:
        truth = put("truth.csv", truth)
    assert main(["score", "--picks", picks, "--truth", truth, "--radius", "40", "--resamples", "0", "--quiet",
                 "--json", "s.json", *options]) == 0
    result: dict[str, object] = json.loads(Path("s.json").read_text())
    return result


def counts(picks: str, truth: str = TRUTH, *options: str) -> tuple[object, ...]:
    result = score(picks, truth, *options)
    return result["n_picks"], result["true_positives"], result["n_micrographs"]


def refused(capsys: pytest.CaptureFixture[str], picks: str, truth: str = TRUTH, *options: str) -> str:
    code = main(["score", "--picks", picks, "--truth", put("truth.csv", truth), "--radius", "40", *options])
    err = capsys.readouterr().err
    assert code == 2
    assert "Traceback" not in err
    line: str = err.splitlines()[-1]
    assert line.startswith("gembench: error: ")
    return line


# STAR

def test_blank_lines_after_loop(capsys: pytest.CaptureFixture[str]) -> None:
    optics = "data_optics\n\nloop_\n\n_rlnOpticsGroup #1\n_rlnMicrographPixelSize #2 \n1 0.84\n\n"
    text = optics + "data_particles\n\nloop_\n\n\n" + COLUMNS + "\n" + rows()
    assert counts(put("picks.star", text)) == (8, 8, 2)


def test_a_first_column_that_begins_with_data() -> None:
    lines = "".join(f"data_000{n}.mrc {x} {y}\n" for n in (1, 2) for x, y in XY)
    text = "data_particles\n\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n" + lines
    truth = TRUTH.replace("m1.", "data_0001.").replace("m2.", "data_0002.")
    assert counts(put("picks.star", text), truth) == (8, 8, 2)


@pytest.mark.parametrize("folder_name", ["O'Brien", "grid#3", '5"disc', "été", "it's#1", "data_", "loop_"])
def test_quotes_and_hashes_within_names(folder_name: str) -> None:
    assert counts(put("picks.star", block(f"Data/{folder_name}/m{{}}.mrc"))) == (8, 8, 2)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quoted_values_with_blanks_and_quotes(quote: str) -> None:
    assert counts(put("picks.star", block(f"{quote}Data/O'B \"x\"y/m{{}}.mrc{quote}"))) == (8, 8, 2)


def test_text_fields_are_values() -> None:
    text = "data_particles\n_rlnNote\n;\ntwo\nloop_ lines\n;\n\nloop_\n" + COLUMNS + rows()
    assert counts(put("picks.star", text)) == (8, 8, 2)
    text = block().replace(" MotionCorr/job002/Mics/m1.mrc\n", "\n;Mics/m1.mrc\n;\n", 1)
    assert counts(put("picks.star", text.replace("MotionCorr/job002/", ""))) == (8, 8, 2)


def test_latin_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert counts(put("picks.star", block("Größe/m{}.mrc").encode("latin-1"))) == (8, 8, 2)


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_others(end: str) -> None:
    assert counts(put("picks.star", block().replace("\n", end))) == (8, 8, 2)


@pytest.mark.parametrize("title", ["data_", "data_particles"])
def test_two_files_one_below_the_other(title: str) -> None:
    text = block(title=title, micrographs=(1,)) + block(title=title, micrographs=(2,))
    assert counts(put("cat.star", text)) == (8, 8, 2)


def test_optics_of_files_one_below_the_other_stay_with_their_particles() -> None:
    from gembench.io.coordinates import read_coordinates

    def optics(size: float) -> str:
        return f"data_optics\nloop_\n_rlnOpticsGroup\n_rlnMicrographPixelSize\n1 {size}\n\n"

    def particles(n: int) -> str:
        return ("data_particles\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnMicrographName\n"
                "_rlnOpticsGroup\n"
                f"1 2 m{n}.mrc 1\n\n")

    put("a.star", optics(1.5) + particles(1) + optics(2.5) + particles(2))
    assert [part.pixel_size for part in read_coordinates("a.star")] == [1.5, 2.5]
    put("a.star", particles(1) + optics(1.5) + particles(2) + optics(2.5))
    assert [part.pixel_size for part in read_coordinates("a.star")] == [1.5, 2.5]


def test_a_block_for_each_micrograph() -> None:
    lines = "".join(f"{x} {y}\n" for x, y in XY)
    text = "".join(f"data_m{n}\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n{lines}\n" for n in (1, 2))
    assert counts(put("all.star", text)) == (8, 8, 2)


def test_a_single_particle_without_loop() -> None:
    text = "data_particles\n\n_rlnCoordinateX 120\n_rlnCoordinateY 340 # px\n_rlnMicrographName 'm1.mrc'\n"
    assert counts(put("a.star", text), TRUTH_1) == (1, 1, 1)


@pytest.mark.parametrize("column", ["_rlnCoordinateX", "_rlnMicrographName", "_rlnAutopickFigureOfMerit"])
def test_a_column_twice_is_one_line(capsys: pytest.CaptureFixture[str], column: str) -> None:
    text = f"data_particles\n\nloop_\n{COLUMNS}{column} #5\n" + rows().replace("\n", " 1\n")
    assert f"block data_particles has the column {column} twice" in refused(capsys, put("picks.star", text))


@pytest.mark.parametrize(("optics", "columns", "message"), [
    ("_rlnMicrographPixelSize\n1.0\n2.0\n", "1", "block data_optics has no _rlnOpticsGroup"),
    ("_rlnOpticsGroup\n_rlnMicrographPixelSize\n1 1.0\n1 2.0\n", "1", "optics group 1 is there twice"),
    ("_rlnOpticsGroup\n_rlnMicrographPixelSize\n1 1.0\n2 2.0\n", None, "block data_particles has no"
                                                                       " _rlnOpticsGroup"),
])
def test_odd_optics_tables_are_one_line(
    capsys: pytest.CaptureFixture[str], optics: str, columns: str | None, message: str
) -> None:
    group = "" if columns is None else "_rlnOpticsGroup\n"
    lines = rows().replace("\n", f" {columns}\n" if columns else "\n")
    text = f"data_optics\n\nloop_\n{optics}\ndata_particles\n\nloop_\n{COLUMNS}{group}{lines}"
    assert message in refused(capsys, put("picks.star", text))


def test_optics_tables_that_agree_need_no_groups() -> None:
    optics = "data_optics\n\nloop_\n_rlnMicrographPixelSize\n1.0\n1.0\n\n"
    assert counts(put("picks.star", optics + block())) == (8, 8, 2)


def test_a_magnification_of_nearly_nothing_gives_no_pixel_size() -> None:
    from gembench.io.coordinates import read_coordinates

    lines = rows().replace("\n", " 1e-320 2.0\n")
    put("a.star", f"data_\n\nloop_\n{COLUMNS}_rlnMagnification\n_rlnDetectorPixelSize\n{lines}")
    assert [part.pixel_size for part in read_coordinates("a.star")] == [None, None]


LIST = "data_coordinate_files\n\nloop_\n_rlnMicrographName #1\n_rlnMicrographCoordinates #2\n"


@pytest.mark.parametrize("picks", ["P/AutoPick/job010/autopick.star", "P/AutoPick/job010"])
def test_a_list_of_coordinate_files_is_followed(capsys: pytest.CaptureFixture[str], picks: str) -> None:
    job = "P/AutoPick/job010"
    for n in (1, 2):
        text = block(title="data_", micrographs=(1,)).replace(" MotionCorr/job002/Mics/m1.mrc", "")
        put(f"{job}/Mics/m{n}_autopick.star", text.replace("_rlnMicrographName #4\n", ""))
    put(f"{job}/autopick.star", LIST + "".join(
        f"MotionCorr/job002/Mics/m{n}.mrc AutoPick/job010/Mics/m{n}_autopick.star\n" for n in (1, 2)))
    put(f"{job}/job.star", "data_job\n\n_rlnJobTypeLabel relion.autopick\n")
    put(f"{job}/job_pipeline.star", "data_pipeline_general\n\n_rlnPipeLineJobCounter 11\n")
    put(f"{job}/note.txt", "relion_autopick --i x\n")
    assert counts(picks) == (8, 8, 2)
    said = "what they list is read, and nothing else, as job.star"
    assert (said in capsys.readouterr().err) == (picks == job)
    Path(f"{job}/Mics/m2_autopick.star").unlink()
    assert counts(picks) == (4, 4, 2)
    assert "1 of 2 coordinate files of the list are not here" in capsys.readouterr().err
    Path(f"{job}/Mics/m1_autopick.star").unlink()
    assert "none of the 2 coordinate files" in refused(capsys, picks)


def test_a_folder_of_gembenchs_own_is_read_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    """Its list names all files but the summary."""
    rows = "".join(f"MotionCorr/job002/Mics/m{n}.mrc m{n}.star\n" for n in (1, 2, 3))
    for n in (1, 2, 3):
        put(f"own/m{n}.star", block(micrographs=(n,)))
    put("own/picks.star", block(micrographs=(1, 2, 3)))
    put("own/autopick.star", LIST + rows)
    assert main(["convert", "own", "own.csv"]) == 0
    assert "nothing else" not in capsys.readouterr().err
    put("own/other.star", block(micrographs=(4,)))
    assert main(["convert", "own", "own.csv"]) == 0
    assert "nothing else, as other.star" in capsys.readouterr().err


# scores that are none

@pytest.mark.parametrize("unknown", ["-nan", "nan", "inf", "-inf", "-999", "-999.000000"])
def test_what_is_no_score_is_counted_and_the_rest_ranked(capsys: pytest.CaptureFixture[str],
                                                         unknown: str) -> None:
    result = score(put("picks.star", block(scores=(0.91, 0.85, 0.62, unknown))))
    assert (result["n_picks"], result["true_positives"], result["unscored"]) == (8, 8, 2)
    assert result["average_precision"] == pytest.approx(6 / 8)
    err = capsys.readouterr().err
    assert "2 of 8 picks have no score" in err
    result = score("picks.star", TRUTH, "--threshold", "0.8")
    assert result["n_picks"] == 4


def test_no_score_at_all_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = "data_\n\nloop_ \n_rlnCoordinateX #1 \n_rlnCoordinateY #2 \n_rlnClassNumber #3 \n" \
        "_rlnAnglePsi #4 \n" \
        "_rlnAutopickFigureOfMerit #5\n" + "".join(f"{x}\t{y}\t-999\t-999.0\t-999.0\n" for x, y in XY)
    result = score(put("m1.star", text), TRUTH_1)
    assert (result["true_positives"], result["average_precision"]) == (4, None)
    assert "none of 4 picks has a score" in capsys.readouterr().err
    assert main(["score", "--picks", "m1.star", "--truth", "m1.star", "--radius", "9", "--resamples",
                 "0"]) == 0
    out, err = capsys.readouterr()
    assert "None of the picks has a score: there is no average precision" in out
    assert err.count("has a score") == 1  # annotations need none
    from gembench.io.coordinates import read_coordinates

    (picks,) = read_coordinates("m1.star")
    assert np.isnan(picks.psi).all()
    assert (picks.view == -1).all()


@pytest.mark.parametrize("unknown", ["", "nan", "NaN", "inf", "-999"])
def test_empty_scores_of_tables(capsys: pytest.CaptureFixture[str], unknown: str) -> None:
    text = "micrograph,x,y,score\n" + "".join(
        f"m1.mrc,{x},{y},{s}\n" for (x, y), s in zip(XY, [0.9, 0.8, 0.7, unknown], strict=True))
    result = score(put("picks.csv", text), TRUTH_1)
    assert (result["true_positives"], result["unscored"]) == (4, 1)
    assert "1 of 4 picks have no score" in capsys.readouterr().err


# tables

def table(heading: str, separator: str = "\t", comma: bool = False, name: str = "m{}",
          exchanged: bool = False) -> str:
    lines = [heading.replace(",", separator)]
    for n in (1, 2):
        for (x, y), s in zip(XY, SCORES, strict=True):
            cells = [name.format(3 - n if exchanged else n), f"{x:.2f}", f"{y:.2f}", f"{s:.2f}"]
            lines.append(separator.join(cell.replace(".", ",") if comma and i else cell
                                        for i, cell in enumerate(cells)))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("file", ["topaz_picks.txt", "topaz.csv", "topaz.tsv", "coords.coord"])
@pytest.mark.parametrize("separator", ["\t", ","])
def test_topaz_tables(file: str, separator: str) -> None:
    put(file, table("image_name,x_coord,y_coord,score", separator))
    assert counts(file) == (8, 8, 2)
    assert score(file)["average_precision"] == 1


@pytest.mark.parametrize("heading", [
    "mic_name,x,y,confidence", "filename,X-Coordinate,Y-Coordinate,Autopick Figure Of Merit",
    "Micrograph,Center X,Center Y,NCC",
    "rlnMicrographName,rlnCoordinateX,rlnCoordinateY,rlnAutopickFigureOfMerit",
    "location/micrograph_path,x,y,pick_stats/ncc_score", "image,x_px,y_px,prob", "path,coord_x,coord_y,conf",
])
def test_columns_of_the_field(heading: str) -> None:
    assert counts(put("p.csv", table(heading, ","))) == (8, 8, 2)
    assert score("p.csv")["average_precision"] == 1


def test_a_table_says_whose_picks_are_whose() -> None:
    lines = ["m1\t100\t100", "m1\t300\t120", "m2\t150\t400", "m2\t620\t220"]
    head = "image_name\tx_coord\ty_coord\n"
    put("picks/coords.tsv", head + "\n".join(lines) + "\n")
    put("truth/coords.tsv", head + "\n".join(line.replace("m1", "m3").replace("m2", "m1").replace("m3", "m2")
                                               for line in lines) + "\n")
    assert counts("picks", "truth") == (4, 0, 2)
    assert counts("picks", "picks") == (4, 4, 2)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas(separator: str) -> None:
    put("picks.csv", table("Micrograph,X,Y,Score", separator, comma=True, name="m{}.mrc"))
    assert counts("picks.csv") == (8, 8, 2)
    assert score("picks.csv")["mean_distance_px"] == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1"])
def test_tables_of_spreadsheets(encoding: str) -> None:
    text = "sep=;\r\n" + table("Micrograph,X,Y,Score", ";", name="Größe{}.mrc").replace("\n", "\r\n")
    put("picks.csv", text.encode(encoding))
    assert counts("picks.csv", TRUTH.replace("m1", "Größe1").replace("m2", "Größe2")) == (8, 8, 2)


@pytest.mark.parametrize("heading", ["x,y,w,h,conf", "X,Y,Width,Height,Score",
                                     "left,top,box_width,box_height,p"])
def test_a_corner_with_a_size_is_a_box(capsys: pytest.CaptureFixture[str], heading: str) -> None:
    put("m1.csv", heading + "\n" + "".join(f"{x - 90},{y - 90},180,180,{s}\n"
                                            for (x, y), s in zip(XY, SCORES, strict=True)))
    assert score("m1.csv", TRUTH_1)["mean_distance_px"] == 0
    assert "are taken for a box's corner and its size" in capsys.readouterr().err


def test_two_corners_are_a_box(capsys: pytest.CaptureFixture[str]) -> None:
    put("m1.csv", "xmin,ymin,xmax,ymax,class,score\n" + "".join(
        f"{x - 90},{y - 90},{x + 90},{y + 90},p,1\n" for x, y in XY))
    assert score("m1.csv", TRUTH_1)["mean_distance_px"] == 0
    assert "opposite corner" in capsys.readouterr().err


def test_a_diameter_makes_no_corner(capsys: pytest.CaptureFixture[str]) -> None:
    put("m1.csv", "X-Coordinate,Y-Coordinate,Diameter\n" + "".join(f"{x},{y},108\n" for x, y in XY))
    assert score("m1.csv", TRUTH_1)["mean_distance_px"] == 0
    assert "columns that are not used: Diameter" in capsys.readouterr().err


def test_a_heading_is_said_in_short(capsys: pytest.CaptureFixture[str]) -> None:
    put("m1.csv", f"x,y,{'a' * 120000}\n" + "".join(f"{x},{y},1\n" for x, y in XY))
    assert score("m1.csv", TRUTH_1)["mean_distance_px"] == 0
    assert "columns that are not used: aaaa" in (said := capsys.readouterr().err)
    assert len(said) < 300


def frames(name: str = "mics") -> str:
    for n in (1, 2):
        Path(name).mkdir(exist_ok=True)
        write_mrc(f"{name}/m{n}.mrc", np.zeros((1024, 1536), np.float32) + n, 1.5)
    return name


@pytest.mark.parametrize("heading", ["micrograph,x,y", "location/micrograph_path,location/center_x_frac,"
                                     "location/center_y_frac"])
def test_fractions_of_the_frame(capsys: pytest.CaptureFixture[str], heading: str) -> None:
    put("picks.csv", heading + "\n" + "".join(
        f"m{n}.mrc,{x / 1536},{y / 1024}\n" for n in (1, 2) for x, y in XY))
    assert "fractions of the frame" in refused(capsys, "picks.csv")
    assert score("picks.csv", TRUTH, "--micrographs", frames())["mean_distance_px"] == pytest.approx(0,
                                                                                                     abs=1e-9)
    assert "they are scaled to pixels" in capsys.readouterr().err


def test_fractions_of_yolo() -> None:
    put("m1.txt", "".join(f"0 {x / 1536} {y / 1024} 0.1 0.1 0.9\n" for x, y in XY))
    assert score("m1.txt", TRUTH_1, "--micrographs", frames())["mean_distance_px"] == pytest.approx(0,
                                                                                                    abs=1e-9)


def test_an_unknown_column_of_names_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    put("m1.csv", "photo_id,x,y\n" + "".join(f"a,{x},{y}\n" for x, y in XY))
    assert counts("m1.csv", TRUTH_1) == (4, 4, 1)
    err = capsys.readouterr().err
    assert "columns that are not used: photo_id (if 'photo_id' names micrographs, head it micrograph)" in err


@pytest.mark.parametrize(("name", "text"), [
    ("m1.coords", "".join(f"{x} {y} 0.0\n" for x, y in XY)), ("m1.coords", "".join(f"{x} {y} 7\n" for x,
                                                                                   y in XY)),
    ("m1.txt", "x y z\n" + "".join(f"{x} {y} 3\n" for x, y in XY)),
    ("m1.csv", "x,y,z\n" + "".join(f"{x},{y},3\n" for x, y in XY)),
])
def test_z_is_no_score(name: str, text: str) -> None:
    result = score(put(name, text), TRUTH_1)
    assert (result["true_positives"], result["average_precision"]) == (4, None)


# boxes

def test_column_5_of_boxes_is_a_score() -> None:
    put("m1.box", "".join(f"{x - 90}\t{y - 90}\t180\t180\t{s}\n" for (x, y), s in zip(XY, SCORES,
                                                                                      strict=True))
        + "5000\t5000\t180\t180\t0.7\n")
    result = score("m1.box", TRUTH_1)
    assert result["average_precision"] == pytest.approx((1 + 1 + 3 / 4 + 4 / 5) / 4)
    assert score("m1.box", TRUTH_1, "--threshold", "0.8")["n_picks"] == 2


def test_marks_of_particles_are_no_scores() -> None:
    put("m1.box", "".join(f"{x - 90}\t{y - 90}\t180\t180\t-3\n" for x, y in XY))
    assert score("m1.box", TRUTH_1)["average_precision"] is None


@pytest.mark.parametrize("text", [
    "10 20 180 180 -1\n30 40 180 180 -2\n", "10 20 180 180 -1\n20 30 180 180 0\n30 40 180 180 -2\n",
    "#micrograph: m1.mrc\n#segment length: 180\n#helix: (1, 2),(3, 4),180\n1 2 180 180\n",
])
def test_filaments_are_refused(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert "marks a filament" in refused(capsys, put("m1.box", text), TRUTH_1)


@pytest.mark.parametrize("heading", ["x y w h\n", "#X Y W H\n", "x,y,w,h,score\n"])
def test_headings_of_boxes(heading: str) -> None:
    assert counts(put("m1.box", heading + "".join(f"{x - 90} {y - 90} 180 180\n" for x, y in XY)),
                  TRUTH_1) == (4, 4, 1)


@pytest.mark.parametrize("name", ["m1.txt", "m1.cbox"])
def test_old_tables_of_cryolo(name: str) -> None:
    put(name, "".join(f"{x - 90} {y - 90} 180 180 {s} 170 172\n" for (x, y), s in zip(XY, SCORES,
                                                                                      strict=True)))
    result = score(name, TRUTH_1)
    assert (result["mean_distance_px"], result["average_precision"]) == (0, 1)


def test_an_empty_file_of_a_folder_is_a_micrograph_without_picks(capsys: pytest.CaptureFixture[str]) -> None:
    put("picks/m1.box", "".join(f"{x - 90} {y - 90} 180 180\n" for x, y in XY))
    put("picks/m2.box", "")
    for n in (1, 2):
        put(f"truth/m{n}.csv", "x,y\n" + "".join(f"{x},{y}\n" for x, y in XY))
    assert counts("picks", "truth") == (4, 4, 2)
    err = capsys.readouterr().err
    assert "m2.box: empty: a micrograph without picks" in err
    assert "1 of 2 annotated micrographs have no picks" in err


# Xmipp, crYOLO, EMAN2, cryoSPARC

XMIPP = ("# XMIPP_STAR_1 * \n# \ndata_header\nloop_\n _pickingMicrographState\n _pickingAutopickPercent\n"
         " _cost\n"
         " _threshold\n Manual 50 0.0 0.0\ndata_particles\nloop_\n _xcoor\n _ycoor\n _cost\n _enabled\n")


def test_xmipp_positions(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f" {x:.0f} {y:.0f} {s} 1\n" for (x, y), s in zip(XY, SCORES, strict=True)]
    put("m1.pos", XMIPP + "".join(lines))
    result = score("m1.pos", TRUTH_1)
    assert (result["true_positives"], result["average_precision"]) == (4, 1)
    put("m1.pos", XMIPP + "".join(lines) + " 500 500 0.9 -1\n")
    assert counts("m1.pos", TRUTH_1) == (4, 4, 1)
    assert "1 of 5 picks are disabled" in capsys.readouterr().err


CBOX = ("\ndata_global\n\n_cbox_format_version 1.0\n\n\ndata_cryolo\n\nloop_\n_CoordinateX #1\n_CoordinateY"
        " #2\n"
        "_CoordinateZ #3\n_Width #4\n_Height #5\n_Depth #6\n_EstWidth #7\n_EstHeight #8\n_Confidence #9\n"
        "_NumBoxes #10\n_Angle #11\n")


def test_cryolo_boxes() -> None:
    put("m1.cbox", CBOX + "".join(f"{x - 90} {y - 90} <NA> 180.0 180.0 1 175 171 {s} <NA> <NA>\n"
                                  for (x, y), s in zip(XY, SCORES, strict=True))
        + "\n\ndata_cryolo_include\n\nloop_\n_slice_index #1\n\n")
    result = score("m1.cbox", TRUTH_1)
    assert (result["mean_distance_px"], result["average_precision"]) == (0, 1)


def test_filaments_of_cryolo_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    put("m1.cbox", CBOX + "_filamentid #12\n1 2 <NA> 180 180 1 1 1 0.5 <NA> 33 4\n")
    assert "holds filaments (_filamentid)" in refused(capsys, "m1.cbox", TRUTH_1)


def test_eman_info_files(capsys: pytest.CaptureFixture[str]) -> None:
    boxes = [[x, y, "auto_local", s] for (x, y), s in zip(XY, SCORES, strict=True)]
    put("info/m1_info.json", json.dumps({"boxes": boxes, "ctf": [1.5, {"x": 1}]}))
    put("info/project.json", json.dumps({"apix": 1.2}))
    result = score("info", TRUTH_1)
    assert (result["mean_distance_px"], result["average_precision"]) == (0, 1)
    assert "left out, since they hold no coordinates: project.json" in capsys.readouterr().err
    put("t.json", json.dumps({"boxes": [[1, 2, 3, "manual"]]}))
    assert "boxes of tomograms" in refused(capsys, "t.json", TRUTH_1)


def cs(**fields: object) -> np.ndarray:
    dtype = [("uid", "<u8"), ("location/micrograph_path", "S96"), ("location/micrograph_shape", "<u4", (2,)),
             ("location/center_x_frac", "<f4"), ("location/center_y_frac", "<f4"), ("pick_stats/ncc_score",
                                                                                    "<f4")]
    array = np.zeros(8, dtype)
    array["location/micrograph_shape"] = (1024, 1536)
    for k, (n, (x, y), s) in enumerate([(n, *v) for n in (1, 2) for v in zip(XY, SCORES, strict=True)]):
        array[k]["location/micrograph_path"] = \
            f"J1/imported/01764653975083990262{n}_m{n}_patch_aligned_doseweighted.mrc".encode()
        array[k]["location/center_x_frac"], array[k]["location/center_y_frac"] = x / 1536, y / 1024
        array[k]["pick_stats/ncc_score"] = s
    return array


def test_cryosparc_files(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("picked.cs").open("wb") as handle:
        np.save(handle, cs())
    result = score("picked.cs")
    assert (result["true_positives"], result["average_precision"]) == (8, 1)
    assert result["mean_distance_px"] < 1e-3
    assert "2 micrographs are paired although their names differ" in capsys.readouterr().err
    with Path("x.cs").open("wb") as handle:
        np.save(handle, cs()[["uid"]])
    assert "no field location/center_x_frac" in refused(capsys, "x.cs")
    for content in (b"\x94CSDATxxxx", b"\x93NUMPY\x01\x00", b"hello"):
        refused(capsys, put("x.cs", content))


def test_pickled_cs_files_are_not_opened(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("x.cs").open("wb") as handle:
        np.save(handle, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "is not a whole .cs file" in refused(capsys, "x.cs")


# names

@pytest.mark.parametrize("suffix", ["_automatch", "_particles", "_cryolo", "_manualpick", "_topaz", "_info",
                                    "_boxes"])
def test_suffixes_of_picking_programs(suffix: str) -> None:
    put(f"picks/m1{suffix}.star", block(title="data_", micrographs=(1,)).replace(
        " MotionCorr/job002/Mics/m1.mrc", "").replace("_rlnMicrographName #4\n", ""))
    assert counts("picks", TRUTH_1) == (4, 4, 1)


@pytest.mark.parametrize("name", [
    "J1/imported/01764653975083990262{}_m{}_patch_aligned_doseweighted.mrc", "m{}_DW.mrc", "m{}_noDW.mrc",
    "m{}_Fractions.mrc", "m{}.tif", "m{}_fractions.tiff", "m{}_EER.mrc", "m{}.eer", "m{}_aligned_mic_DW.mrc",
    r"C:\Data\grid 1\m{}.mrc", "/abs/m{}_SumCorr.mrc", "MotionCorr/job002/m{}.mrcs",
])
def test_names_of_one_movie_pair(name: str) -> None:
    put("picks.csv", "micrograph,x,y\n" + "".join(
        f"{name.replace('{}', str(n))},{x},{y}\n" for n in (1, 2) for x, y in XY))
    assert counts("picks.csv") == (8, 8, 2)


def test_two_sums_of_one_movie_are_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    put("picks.csv", "micrograph,x,y\nm1_DW.mrc,1,1\nm1_noDW.mrc,1,1\nm2.mrc,1,1\n")
    assert counts("picks.csv") == (1, 0, 2)
    assert "2 micrographs have picks but no annotations and are left out: m1_DW.mrc, m1_noDW.mrc" \
        in capsys.readouterr().err


def test_equal_names_in_two_folders_are_kept_apart() -> None:
    put("picks.star", block("Dataset{}/001.mrc"))
    assert counts("picks.star", "picks.star") == (8, 8, 2)
    truth = "micrograph,x,y\n" + "".join(f"/data/Dataset{n}/001.mrc,{x},{y}\n" for n in (1, 2) for x, y in XY)
    assert counts("picks.star", truth) == (8, 8, 2)
    truth = truth.replace("Dataset1", "Dataset3").replace("Dataset2", "Dataset1").replace("Dataset3",
                                                                                          "Dataset2")
    assert counts("picks.star", truth.replace(f"{XY[0][0]}", "5000", 1)) == (8, 7, 2)
    put("one.star", block("x/Dataset{}/001.mrc", micrographs=(2,)))
    assert counts("one.star", truth) == (4, 4, 2)


def test_equal_names_without_folders_are_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    put("picks.star", block("Dataset{}/001.mrc"))
    line = refused(capsys, "picks.star", "micrograph,x,y\n001.mrc,1,1\n")
    assert "share no micrograph (picks: Dataset1/001.mrc, Dataset2/001.mrc; truth: 001.mrc)" in line


def test_a_tree_of_folders(capsys: pytest.CaptureFixture[str]) -> None:
    for n in (1, 2):
        put(f"picks/Dataset{n}/001.csv", "x,y\n" + "".join(f"{x},{y}\n" for x, y in XY))
    truth = "micrograph,x,y\n" + "".join(f"Dataset{n}/001.mrc,{x},{y}\n" for n in (1, 2) for x, y in XY)
    assert counts("picks", truth) == (8, 8, 2)
    assert "holds no coordinate files itself; those of its folders are read" in capsys.readouterr().err


def test_unicode_forms_pair() -> None:
    name = "Aufnahme_größe_01.mrc"
    put("picks.csv", TRUTH_1.replace("m1.mrc", unicodedata.normalize("NFD", name)))
    assert counts("picks.csv", TRUTH_1.replace("m1.mrc", unicodedata.normalize("NFC", name))) == (4, 4, 1)


def test_what_shares_no_name_is_shown_with_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    put("picks.csv", TRUTH.replace("m1", "run7-m1-x9").replace("m2", "run7-m2-x9"))
    line = refused(capsys, "picks.csv")
    assert "(picks: run7-m1-x9.mrc, run7-m2-x9.mrc; truth: m1.mrc, m2.mrc)" in line
    assert "--strip-prefix='run7-' --strip-suffix='-x9'" in line
    assert counts("picks.csv", TRUTH, "--strip-prefix=run7-", "--strip-suffix=-x9") == (8, 8, 2)
    assert counts("picks.csv", TRUTH, "--strip-prefix=*-", "--strip-suffix=-x?") == (8, 8, 2)


def test_annotated_micrographs_without_picks_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    lines = "".join(f"mic{n:03}.mrc,{x},{y}\n" for n in range(100) for x, y in XY)
    put("picks.csv", "micrograph,x,y\n" + "".join(f"mic{n:03}.mrc,{x},{y}\n" for n in range(5) for x,
                                                  y in XY))
    result = score("picks.csv", "micrograph,x,y\n" + lines)
    assert (result["true_positives"], result["recall"]) == (20, 0.05)
    assert ("95 of 100 annotated micrographs have no picks, and their particles count as missed: mic005.mrc,"
            " mic006.mrc, mic007.mrc, ...") in capsys.readouterr().err


# folders

def test_what_is_no_coordinate_file_is_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    put("picks/m1.box", "".join(f"{x - 90} {y - 90} 180 180\n" for x, y in XY))
    put("picks/README.txt", "Picked by A. Student on the Titan.\n")
    put("picks/config.csv", "key,value\nbox,180\n")
    put("picks/job.star", "data_job\n\n_rlnJobTypeLabel x\n")
    put("picks/settings.json", "{}")
    Path("picks/gone.box").symlink_to("nowhere.box")
    assert counts("picks", TRUTH_1) == (4, 4, 1)
    err = capsys.readouterr().err
    assert "left out, since they hold no coordinates: README.txt, config.csv, job.star, ..." in err
    assert "links that lead nowhere are left out: gone.box" in err


def test_a_malformed_coordinate_file_is_not_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    put("picks/m1.txt", "120 340\n400 512\n777\n")
    put("picks/m2.txt", "120 340\n")
    assert "m1.txt:3: '777' is not a row" in refused(capsys, "picks")


def test_a_field_of_any_length_is_one_line_or_read(capsys: pytest.CaptureFixture[str]) -> None:
    """Python's reader of tables refuses fields of more than 131,072 characters."""
    put("m1.csv", "x,y,score,comment\n" + "".join(f"{x},{y},0.5,{'a' * 140000}\n" for x, y in XY))
    assert counts("m1.csv", TRUTH_1) == (4, 4, 1)
    assert "'" + "a" * 141000 not in refused(capsys, put("m1.csv", "x,y\n1," + "a" * 140000 + "\n"), TRUTH_1)


@pytest.mark.parametrize("size", [180, 181])
def test_confidences_of_boxes_from_the_bottom_are_ranked(size: int) -> None:
    """As REPIC's examples of Topaz have them; the average precision is summed here by itself."""
    random = np.random.default_rng(4)
    true = random.uniform(100, 400, (40, 2)).round()
    false = random.uniform(100, 400, (20, 2)).round()
    picked = np.concatenate([true[:30] + random.integers(-6, 7, (30, 2)), false])
    confidence = random.permutation(np.concatenate([random.normal(2, 1, 30), random.normal(0, 1, 20)]))
    boxes = [f"{x - size // 2:.0f}\t{511 - y - size // 2:.0f}\t{size}\t{size}\t{float(value)!r}"
             for (x, y), value in zip(picked, confidence, strict=True)]
    put("topaz/m1.box", "\n".join(boxes) + "\n")
    put("truth/m1.csv", "X-Coordinate,Y-Coordinate,Diameter\n" + "".join(f"{x},{y},12\n" for x, y in true))
    free, precision, hits = np.ones(len(true), bool), 0.0, 0
    for rank, at in enumerate(np.argsort(-confidence), 1):
        distance = np.where(free, np.hypot(*(true - picked[at]).T), np.inf)
        if distance.min() <= 12:
            free[distance.argmin()] = False
            hits += 1
            precision += hits / rank
    Path("mics").mkdir()
    write_mrc("mics/m1.mrc", np.arange(512 * 512, dtype=np.float32).reshape(512, 512), 2.0)
    result = score("topaz", "truth", "--radius", "12", "--flip-y", "picks", "--micrographs", "mics")
    assert hits > 20
    np.testing.assert_allclose(result["average_precision"], precision / len(true), atol=1e-9)


@pytest.mark.parametrize(("name", "message"), [
    ("coordinates.sqlite", "is a database of Scipion; export its coordinates"),
    ("m1.mod", "is a model of IMOD; write its points as text by model2point"),
])
def test_files_of_others_say_how_to_export_them(capsys: pytest.CaptureFixture[str], name: str,
                                                message: str) -> None:
    assert message in refused(capsys, put(name, b"IMODV1.2" + bytes(40)), TRUTH_1)


def test_gempicker_tables() -> None:
    text = "4\n" + "".join(f"{n} {value} {y} {1536 - x} 64 1 0.0\n"
                           for n, ((x, y), value) in enumerate(zip(XY, SCORES, strict=True), 1))
    Path("mics").mkdir()
    write_mrc("mics/m1.mrc", np.zeros((1024, 1536), np.float32), 2.0)
    result = score(put("m1.txt", text), TRUTH_1, "--micrographs", "mics")
    assert (result["true_positives"], result["average_precision"], result["mean_distance_px"]) == (4, 1, 0)


@pytest.mark.parametrize("name", ["m1.txt", "m1.coord"])
@pytest.mark.parametrize("scored", [False, True])
def test_plain_text(name: str, scored: bool) -> None:
    lines = [f"{x} {y}" + f" {value}" * scored for (x, y), value in zip(XY, SCORES, strict=True)]
    result = score(put(name, "\n".join(lines)), TRUTH_1)
    assert (result["true_positives"], result["mean_distance_px"]) == (4, 0)
    assert result["average_precision"] == (1 if scored else None)


# The row of every program in the guide's table, and a test with a file as that program writes it
ROWS = {
    ("RELION", ".star"): test_a_list_of_coordinate_files_is_followed,
    ("EMAN1, Topaz (REPIC)", ".box"): test_confidences_of_boxes_from_the_bottom_are_ranked,
    ("crYOLO", ".cbox (STAR, or its old seven columns)"): test_cryolo_boxes,
    ("crYOLO", ".coords"): test_z_is_no_score,
    ("Topaz", ".txt, .tsv, .csv"): test_topaz_tables,
    ("tables", ".csv, .tsv"): test_columns_of_the_field,
    ("cryoSPARC", ".cs"): test_cryosparc_files,
    ("EMAN2", "info/NAME_info.json"): test_eman_info_files,
    ("Xmipp, Scipion", ".pos, .xmd"): test_xmipp_positions,
    ("gEMpicker", ".txt"): test_gempicker_tables,
    ("plain text", ".txt, .coord"): test_plain_text,
}


def test_every_row_of_the_guides_table_has_a_test() -> None:
    guide = Path(gembench.__file__).parent / "guide" / "formats.md"
    table = [line.strip("|").split("|") for line in guide.read_text().splitlines() if line.startswith("|")]
    assert {(row[0].strip(), row[1].strip()) for row in table[2:]} == set(ROWS)
