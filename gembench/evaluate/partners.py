"""Which names of picks and of annotations are of one micrograph."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate

from gembench.errors import InputError
from gembench.io.names import micrograph_key, movie_key, path_key, with_slashes


@dataclass(frozen=True)
class Partners:
    """Names that go together.

    of: for names of annotations that of their picks
    by_movie: the pairs (picks, annotations) whose names differ by what motion correction and the like add
    """

    of: dict[str, str]
    by_movie: tuple[tuple[str, str], ...]


def find_partners(picked: Sequence[str], annotated: Sequence[str]) -> Partners:
    """Pair names of picks with names of annotations: each of one micrograph, told apart by `path_key`.

    Names are paired by file name without suffix; of several with one file name, those whose last folders
    agree; and of what is left, names of one movie, where one on each side is left of it.

    Raises InputError if not a single pair is found.
    """
    of: dict[str, str] = {}
    _pair_by(micrograph_key, picked, annotated, of)
    plain = dict(of)
    _pair_by(movie_key, picked, annotated, of)
    if picked and not of:
        raise InputError(
            f"picks and truth share no micrograph (picks: {_shown(picked)}; truth: {_shown(annotated)}):"
            f" give files of the same micrographs{_remedy(picked, annotated)}"
        )
    by_movie = tuple((of[name], name) for name in annotated if name in of and name not in plain)
    return Partners(of, by_movie)


def stripped(name: str, prefixes: Collection[str], suffixes: Collection[str]) -> str:
    """The name, its folders kept, without extension and the first prefix and suffix that fit.

    * in a prefix or suffix stands for any characters, as few as possible, ? for one.
    """
    folder, slash, _ = with_slashes(name).rpartition("/")
    key = micrograph_key(name)
    for prefix in prefixes:
        fits = re.match(_lazy(prefix), key)
        if fits and fits.end() < len(key):
            key = key[fits.end():]
            break
    for suffix in suffixes:
        starts = (n for n in range(len(key) - 1, 0, -1) if re.fullmatch(_lazy(suffix), key[n:]))
        if (at := next(starts, None)) is not None:
            key = key[:at]
            break
    return folder + slash + key


def _lazy(pattern: str) -> str:
    """A pattern with wildcards as a regular expression that takes as little as it can."""
    return translate(pattern).replace(".*", ".*?").removesuffix(r"\Z").removesuffix(r"\z")


def _pair_by(
    key: Callable[[str], str], picked: Iterable[str], annotated: Iterable[str], of: dict[str, str]
) -> None:
    """Add to `of` the pairs among what it does not hold yet."""
    taken = set(of.values())
    groups: defaultdict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for name in picked:
        if name not in taken:
            groups[key(name)][0].append(name)
    for name in annotated:
        if name not in of:
            groups[key(name)][1].append(name)
    for ours, theirs in groups.values():
        if len(ours) == len(theirs) == 1:
            of[theirs[0]] = ours[0]
        elif ours and theirs:
            _pair_by_folder(ours, theirs, of)


def _pair_by_folder(picked: list[str], annotated: list[str], of: dict[str, str]) -> None:
    """Of names that differ in folders alone, pair those that choose each other by the last of them."""
    def best(name: str, others: list[str]) -> str | None:
        ranked = sorted(others, key=lambda other: -_shared_folders(name, other))
        if not ranked or (len(ranked) > 1 and _shared_folders(name, ranked[0]) == _shared_folders(name,
                                                                                                  ranked[1])):
            return None
        return ranked[0]

    for name in annotated:
        partner = best(name, picked)
        if partner is not None and best(partner, annotated) == name:
            of[name] = partner


def _shared_folders(a: str, b: str) -> int:
    """How many last folders two paths share, beside the name."""
    pairs = zip(path_key(a).split("/")[-2::-1], path_key(b).split("/")[-2::-1], strict=False)
    count = 0
    for left, right in pairs:
        if left != right:
            break
        count += 1
    return count + (path_key(a) == path_key(b))


def _shown(names: Sequence[str]) -> str:
    """Three of the names."""
    first = sorted(names)[:3]
    return (", ".join(first) + (", ..." if len(names) > 3 else "")) or "none"


def _remedy(picked: Sequence[str], annotated: Sequence[str]) -> str:
    """The option that takes off what differs, if a name of one side lies within one of the other."""
    keys = sorted(map(micrograph_key, picked))[:100], sorted(map(micrograph_key, annotated))[:100]
    for longer, shorter in (keys, keys[::-1]):
        for name in longer:
            for part in shorter:
                if len(part) > 1 and part in name and part != name:
                    before, _, after = name.partition(part)
                    options = ([f"--strip-prefix='{before}'"] if before else []) + (
                        [f"--strip-suffix='{after}'"] if after else [])
                    return f", or take off what differs: {' '.join(options)} (* stands for any characters)"
    return ", or take off what differs by --strip-prefix or --strip-suffix (* stands for any characters)"
