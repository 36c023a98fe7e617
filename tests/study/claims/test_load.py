"""claims.toml: what is refused, in one line that names the file and the claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from gembench.errors import InputError
from gembench.study.tell.claims import load_claims

GOOD = {
    "id": "'a'", "where": "'Fig. 1'", "statement": "'Faster.'", "paper": "'2x'", "why": "'Two is two.'",
    "experiment": "'toy'", "expression": "'max(time)'", "reproduced": "[1, 2]", "partly": "[0.5, 4]",
    "holds": "[{ time = 1.5 }]", "fails": "[{ time = 9 }]",
}


def written(folder: Path, **changes: str | None) -> Path:
    """A file with one claim, some of whose fields are changed or left out."""
    fields = {**GOOD, **changes}
    text = "\n".join(f"{key} = {value}" for key, value in fields.items() if value is not None)
    (folder / "claims.toml").write_text(f"[[claim]]\n{text}\n")
    return folder / "claims.toml"


def test_a_claim_loads(tmp_path: Path) -> None:
    path = written(tmp_path, stand_in="[{ data = 'b' }]", about="1.5", select="{ n = [1, 2] }",
                   fails="[{ time = 0.1 }]")
    (claim,) = load_claims(path)
    assert (claim.reproduced, claim.about, claim.judged) == ((1, 2), 1.5, True)
    assert claim.stand_in == ({"data": "b"},)
    (claim,) = load_claims(written(tmp_path, order="0.5", any_pixels="true", evidence="'model'"))
    assert (claim.order, claim.any_pixels, claim.evidence) == (0.5, True, "model")
    bare = dict.fromkeys(("reproduced", "partly", "holds", "fails"))
    assert not load_claims(written(tmp_path, **bare))[0].judged
    bare |= dict.fromkeys(("why", "experiment", "expression"))
    assert load_claims(written(tmp_path, untestable="'It is lost.'", **bare))[0].untestable
    assert load_claims(tmp_path / "none.toml") == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({key: None}, f"no {key}") for key in ("where", "statement", "paper", "why", "holds", "fails")]
    + [({key: "3"}, f"{key} is not a text") for key in ("where", "why", "expression", "unit", "note")]
    + [({key: "''"}, f"{key} is not a text") for key in ("statement", "untestable")]
    + [({key: value}, reason) for key in ("reproduced", "partly") for value, reason in (
        ("[1]", "not a pair"), ("'1, 2'", "not a pair"), ("3", "not a pair"), ("['1', 2]", "not a number"),
        ("[true, 2]", "not a number"), ("[nan, 2]", "not a number"), ("[2, 1]", "must enclose"),
        ("[1e400, 1]", "must enclose"), (f"[1, {'9' * 30}]", "above 1e15"))]
    + [({"partly": "[1.5, 4]"}, "must enclose"), ({"partly": None}, "only one of"),
       ({"about": "'2'"}, "about is not a number"), ({"about": "5"}, "must enclose it"),
       ({"about": "2", "partly": "[0, inf]"}, "end on both sides"),
       ({"order": "1"}, "partly reaches beyond it"), ({"order": "2"}, "reaches beyond"),
       ({"experiment": None}, "no experiment and expression"), ({"untestable": "'a'"}, "untestable, and yet"),
       ({"expression": "'open(1)'"}, "unknown function"), ({"colour": "1"}, "unknown key 'colour'"),
       ({"select": "3"}, "select is not a table"), ({"select": "{ n = [] }"}, "no values"),
       ({"select": "{ n = { a = 1 } }"}, "n is neither"), ({"select": "{ n = inf }"}, "n is neither"),
       ({"select": "{ n = 2020-01-01 }"}, "n is neither"),
       ({"stand_in": "{ n = 1 }"}, "not a list of tables"),
       ({"stand_in": "[3]"}, "stand_in is not a table"), ({"any_pixels": "1"}, "neither true nor false"),
       ({"evidence": "'seen'"}, "evidence 'seen' is not known"), ({"holds": "3"}, "not a list of tables"),
       ({"holds": "[{ time = 9 }]"}, r"the rows of holds judge as not reproduced \(9\)"),
       ({"fails": "[{ time = 1 }]"}, "the rows of fails judge as reproduced"),
       ({"fails": "[{ time = 3 }]"}, "the rows of fails judge as partly"),
       ({"fails": "[{ n = 1, time = [1, 2], m = [1, 2, 3] }]"}, "different lengths"),
       ({"holds": "[{ time = 'a' }]"}, "holds: time"), ({"holds": "[{ memory = 'a' }]"}, "holds: memory"),
       ({"reproduced": None, "partly": None}, "no bands to judge them by")],
)
def test_a_broken_claim_is_refused(tmp_path: Path, changes: dict[str, str | None], reason: str) -> None:
    with pytest.raises(InputError, match=rf"claims\.toml: claim a: .*{reason}") as refusal:
        load_claims(written(tmp_path, **changes))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [(b"claim = 5", "something other than"), (b"claim = [1]", "claim number 1: not a table"),
     (b"\xff\xfe", "not TOML"), (b"[[claim]", "not TOML"), (b"a = " + b"[" * 5000, "too deep|not TOML"),
     (b"a = " + b"9" * 5000, "not TOML"), (b"other = 1", "something other than"),
     (b"# " + b"x" * 2**20, "at most 1 MiB"), (b"[[claim]]\nid = [1]", "claim number 1: id is not a text"),
     (b"[[claim]]\nid = '[/b]'\nwhere = 'a'\nstatement = 'a'\npaper = 'a'\nwhy = 'a'", r"id '\[/b\]' is not"),
     (b"[[claim]]\nid = 5", "claim number 1: id")],
)
def test_a_broken_file_is_one_line(tmp_path: Path, text: bytes, reason: str) -> None:
    path = tmp_path / "claims.toml"
    path.write_bytes(text)
    with pytest.raises(InputError, match=rf"claims\.toml: .*(?:{reason})") as refusal:
        load_claims(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_an_id_used_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(2 * path.read_text())
    with pytest.raises(InputError, match=r"claim a stands there twice"):
        load_claims(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"where a file is needed"):
        load_claims(path)
