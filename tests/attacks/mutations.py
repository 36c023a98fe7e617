"""Ways to damage a file: bytes, and what its format is made of, by two numbers that say where and how."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import re
import struct
import tarfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Mutation = Callable[[bytes, int, int], bytes]

INTEGERS = (
    0,
    1,
    2,
    3,
    4,
    7,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    200_000,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
)
WORDS = (  # what numbers, names and texts become
    b"",
    b"nan",
    b"-nan",
    b"inf",
    b"-inf",
    b"1e400",
    b"-1",
    b"0",
    b"-0.0",
    b"1e-320",
    b"99999999999",
    b"9" * 5000,
    b"2147483648",
    b"-2147483649",
    b"1.5",
    "\u00b2".encode(),
    "\u0663".encode(),
    b"null",
    b"true",
    b"<NA>",
    b"None",
    b"'",
    b'"',
    b'""',
    b"#",
    b";",
    b"_",
    b"loop_",
    b"data_",
    b"data_optics",
    b"_rlnCoordinateX",
    b"_rlnOpticsGroup",
    b"[/b]",
    b"$\\frac{$",
    b"../../x",
    b"a/../b",
    b"\x1b[31m",
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"x" * 300,
    b"x" * 140_000,
    b",",
    b",,,,",
    b"\t",
    b"\r",
    b"\n\n",
    b"{",
    b"[[[[",
    b"[" * 2000,
    b"1,5",
    b"stop_",
    b"save_",
)
VALUES: tuple[Any, ...] = (  # what values of JSON become
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    10**30,
    10**400,
    1.5,
    1e300,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\ud800",
    "nan",
    "[/b]",
    "$\\frac{$",
    "../../x",
    "a\0b",
    "x" * 300,
    [],
    {},
    [[]],
    [None],
    [1, "x"],
    {"": 1},
    {"x": {}},
    "2026-11-27T06:40:00",
    "2026-11-27T06:40:00+00:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31",
)
TOML = (
    b"1",
    b"-1",
    b"1.5",
    b"inf",
    b"nan",
    b'""',
    b'"x"',
    b"true",
    b"[]",
    b"[1]",
    b"[1, 2]",
    b"[2, 1]",
    b"{}",
    b"[[]]",
    b"[{}]",
    b"2026-11-27",
    b"10:00:00",
    b"[inf, nan]",
    b"9" * 5000,
    b"[" * 200,
    b'"[/b]"',
    b'["time"]',
    b"1e400",
    b"0x10",
    b"[{ time = [] }]",
    b"{ n = [] }",
    b"9223372036854775808",
)
_TOKEN = re.compile(rb"[^\s,;:=\[\]{}()]+")


def flip(content: bytes, a: int, b: int) -> bytes:
    """One byte changed."""
    if not content:
        return content
    at = a % len(content)
    return content[:at] + bytes([b & 255]) + content[at + 1 :]


def cut(content: bytes, a: int, b: int) -> bytes:
    """The end lost."""
    return content[: a % (len(content) + 1)]


def move(content: bytes, a: int, b: int) -> bytes:
    """A piece left out, written twice, or zeroed."""
    start, length = a % (len(content) + 1), 1 + (b >> 8) % 64
    piece = content[start : start + length]
    middle = (b"", piece * 2, bytes(len(piece)), piece * 40)[b % 4]
    return content[:start] + middle + content[start + length :]


def number(content: bytes, a: int, b: int) -> bytes:
    """A whole number of 1 to 8 bytes in either order, in the first kilobyte or anywhere."""
    size, order = (1, 2, 4, 8)[b % 4], "<>"[(b >> 2) % 2]
    span = min(len(content), 1024) if (b >> 3) % 2 else len(content)
    if span < size:
        return content
    at = a % (span - size + 1)
    at -= at % min(size, 4)
    value = INTEGERS[(b >> 4) % len(INTEGERS)] % 2 ** (8 * size)
    return content[:at] + value.to_bytes(size, "little" if order == "<" else "big") + content[at + size :]


BYTES: tuple[Mutation, ...] = (flip, cut, move, number)


def word(content: bytes, a: int, b: int) -> bytes:
    """One word becomes another."""
    if not (words := list(_TOKEN.finditer(content))):
        return WORDS[b % len(WORDS)]
    match = words[a % len(words)]
    return content[: match.start()] + WORDS[b % len(WORDS)] + content[match.end() :]


def same_word(content: bytes, a: int, b: int) -> bytes:
    """One word becomes what another of the file is."""
    if not (words := list(_TOKEN.finditer(content))):
        return content
    match, other = words[a % len(words)], words[b % len(words)]
    return content[: match.start()] + other[0] + content[match.end() :]


def line(content: bytes, a: int, b: int) -> bytes:
    """A line left out, written twice or a thousand times, moved to another place, emptied, or made of a word."""  # noqa: E501
    lines = content.split(b"\n")
    at, how, to = a % len(lines), b % 6, (b >> 3) % len(lines)
    own = lines[at]
    match how:
        case 0:
            del lines[at]
        case 1:
            lines.insert(to, own)
        case 2:
            lines[at], lines[to] = lines[to], own
        case 3:
            lines[at] = b""
        case 4:
            lines.insert(at, WORDS[(b >> 3) % len(WORDS)])
        case _:
            lines[at : at + 1] = [own] * 1000
    return b"\n".join(lines)


def encoding(content: bytes, a: int, b: int) -> bytes:
    """The text as another system writes it."""
    text = content.decode("latin-1")
    match b % 7:
        case 0:
            return text.encode("utf-16")
        case 1:
            return text.encode("utf-16-be")
        case 2:
            return b"\xef\xbb\xbf" + content
        case 3:
            return content.replace(b"\n", b"\r\n")
        case 4:
            return content.replace(b"\n", b"\r")
        case 5:
            return content.replace(b".", b",")
        case _:
            return content + bytes(a % 5000)


TEXT: tuple[Mutation, ...] = (word, same_word, line, word, same_word, line, encoding, move, cut)


def value_of_toml(content: bytes, a: int, b: int) -> bytes:
    """What stands behind an equals sign."""
    places = list(re.finditer(rb"=\s*([^\n]+)", content))
    if not places:
        return content
    match = places[a % len(places)]
    return content[: match.start(1)] + TOML[b % len(TOML)] + content[match.end(1) :]


def json_value(content: bytes, a: int, b: int) -> bytes:
    """One value of the tree, anywhere, of another kind; or left out; or nested deep. Of JSON lines, in one."""  # noqa: E501
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    numbers = [n for n, text in enumerate(lines) if text.strip()]
    whole = None
    with suppress(ValueError, RecursionError):
        whole = json.loads(content)
    if whole is None and not numbers:
        return content
    at = None if whole is not None else numbers[a % len(numbers)]
    tree = whole
    if at is not None:
        try:
            tree = json.loads(lines[at])
        except (ValueError, RecursionError):
            return content
    places: list[tuple[Any, Any]] = []
    _collect(tree, places)
    if not places:
        return content
    holder, key = places[(a >> 4) % len(places)]
    choice = b % (len(VALUES) + 6)
    if choice < len(VALUES):
        holder[key] = VALUES[choice]
    elif choice == len(VALUES):
        del holder[key]
    elif choice == len(VALUES) + 1:
        holder[key] = [holder[key]]
    elif choice == len(VALUES) + 2:
        holder[key] = str(holder[key])
    elif isinstance(holder[key], list):
        holder[key] = holder[key] * 2 if choice % 2 else holder[key][:-1]
    elif isinstance(holder[key], dict):
        holder[key] = dict.fromkeys(holder[key], VALUES[(b >> 8) % len(VALUES)])
    elif choice == len(VALUES) + 3:
        other, name = places[(b >> 8) % len(places)]
        with suppress(KeyError, IndexError):
            holder[key] = other[name] if not isinstance(other[name], dict | list) else 0
    text = _json(tree, deep=choice == len(VALUES) + 5)
    if at is not None:
        lines[at] = text
        text = "\n".join(lines)
    return text.encode("utf-8", "surrogatepass")


def _json(tree: Any, *, deep: bool) -> str:
    text = json.dumps(tree, ensure_ascii=True)
    return text if not deep else re.sub(r"null|true|1", lambda _: "[" * 1500 + "]" * 1500, text, count=1)


def _collect(tree: Any, places: list[tuple[Any, Any]], depth: int = 0) -> None:
    if depth > 20:
        return
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        places.append((tree, key))
        _collect(value, places, depth + 1)


JSON: tuple[Mutation, ...] = (json_value, json_value, json_value, json_value, word, cut, move, flip)
TOML_TEXT: tuple[Mutation, ...] = (value_of_toml, value_of_toml, word, same_word, line, cut, move, encoding)


def mrc_field(content: bytes, a: int, b: int) -> bytes:
    """One of the 56 words of an MRC header, or the order of all their bytes."""
    if len(content) < 1024:
        return content
    at = 4 * (a % 56)
    if b % 16 == 0:
        words = struct.unpack("<56I", content[:224])
        return struct.pack(">56I", *words) + content[224:]
    if b % 2:
        return (
            content[:at] + struct.pack("<I", INTEGERS[(b >> 4) % len(INTEGERS)] % 2**32) + content[at + 4 :]
        )
    value = (float("nan"), float("inf"), -1.0, 0.0, 1e38, 1e-38, 3.0)[(b >> 4) % 7]
    return content[:at] + struct.pack("<f", value) + content[at + 4 :]


def tiff_entry(content: bytes, a: int, b: int) -> bytes:
    """Tag, type, count or value of an entry of a TIFF's first directory, or the directory's own place."""
    if len(content) < 16 or content[:4] != b"II*\0":
        return content
    (start,) = struct.unpack_from("<I", content, 4)
    if start + 2 > len(content):
        return content
    (count,) = struct.unpack_from("<H", content, start)
    if not count or b % 17 == 0:
        return content[:4] + struct.pack("<I", INTEGERS[(b >> 5) % len(INTEGERS)] % 2**32) + content[8:]
    at, part = start + 2 + 12 * (a % count), b % 4
    offset, size = ((0, 2), (2, 2), (4, 4), (8, 4))[part]
    if at + 12 > len(content):
        return content
    value = INTEGERS[(b >> 5) % len(INTEGERS)] % 2 ** (8 * size)
    if part == 1:
        value = (b >> 5) % 19
    return content[: at + offset] + value.to_bytes(size, "little") + content[at + offset + size :]


def png_chunk(content: bytes, a: int, b: int) -> bytes:
    """A chunk of a PNG with a right checksum: changed, left out, written twice, of another name."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        if at + 12 + length > len(content):
            break
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return content
    which = a % len(chunks)
    name, data = chunks[which]
    match b % 5:
        case 0:
            del chunks[which]
        case 1:
            chunks.insert(which, chunks[which])
        case 2:
            names = (b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"gAMA", b"zTXt", b"iCCP", b"IEND")
            chunks[which] = names[(b >> 3) % 10], data
        case _:
            chunks[which] = name, number(data, a >> 4, b >> 3)
    return content[:8] + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def jpeg_segment(content: bytes, a: int, b: int) -> bytes:
    """A number in a segment of a JPEG, or its length."""
    places = [match.start() for match in re.finditer(rb"\xff[\xc0-\xfe]", content)]
    if not places:
        return content
    at = places[a % len(places)] + 2 + (b % 12)
    value = INTEGERS[(b >> 4) % len(INTEGERS)] % 65536
    return content[:at] + struct.pack(">H", value) + content[at + 2 :]


def npy_header(content: bytes, a: int, b: int) -> bytes:
    """A word of the header of a .npy file, its length kept right."""
    if len(content) < 12 or content[:6] != b"\x93NUMPY":
        return content
    (length,) = struct.unpack_from("<H", content, 8)
    header = content[10 : 10 + length]
    if b % 3 == 0:
        shapes = (
            b"(0,)",
            b"(-1,)",
            b"(10000000000,)",
            b"()",
            b"(1,1)",
            b"(" + b"9" * 30 + b",)",
            b"None",
            b"'x'",
        )
        header = re.sub(rb"\([^()]*\), *\}", shapes[(b >> 4) % len(shapes)] + b", }", header)
    elif b % 3 == 1:
        kinds = (
            b"|O",
            b"<f8",
            b"S0",
            b"<U5",
            b"V0",
            b"<M8[s]",
            b"<f2",
            b"|b1",
            b">c16",
            b"<i99",
            b"",
            b"(3,)<f4",
        )
        places = list(re.finditer(rb"'[<>|]?[a-zA-Z]\d+'", header))
        if places:
            match = places[a % len(places)]
            header = header[: match.start()] + b"'" + kinds[(b >> 4) % 12] + b"'" + header[match.end() :]
    else:
        header = word(header, a, b >> 2)
    header = header[:65000]
    return content[:8] + struct.pack("<H", len(header)) + header + content[10 + length :]


def tar_member(content: bytes, a: int, b: int) -> bytes:
    """A member of a tar of another name, kind or size, its checksum right."""
    out, source = io.BytesIO(), io.BytesIO(content)
    names = (
        "../x.mrc",
        "/x.mrc",
        "a.mrc",
        "x/../../y.mrc",
        "",
        "x" * 300 + ".mrc",
        "\udcff.mrc",
        ".mrc",
        "-.mrc",
    )
    kinds = (
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        b"S",
        b"x",
        b"g",
    )
    with (
        suppress(tarfile.TarError, OSError, EOFError, ValueError, KeyError, zlib.error),
        tarfile.open(fileobj=source) as tar,
        tarfile.open(fileobj=out, mode="w") as new,
    ):
        members = tar.getmembers()
        for number_of, member in enumerate(members):
            file = tar.extractfile(member)
            if number_of == a % len(members):
                if b % 3 == 0:
                    member.name = names[(b >> 3) % len(names)]
                elif b % 3 == 1:
                    member.type = kinds[(b >> 3) % len(kinds)]
                    member.linkname = "/etc/passwd"
                else:
                    member.size = INTEGERS[(b >> 3) % 9]
            new.addfile(member, file)
    return out.getvalue() or content


def repacked(pack: Callable[[bytes], bytes], *mutations: Mutation) -> tuple[Mutation, ...]:
    """Mutations of what a compressed file holds, packed again."""
    unpack = {gzip.compress: gzip.decompress, bz2.compress: bz2.decompress}[pack]

    def inside(mutation: Mutation) -> Mutation:
        def mutate(content: bytes, a: int, b: int) -> bytes:
            try:
                return pack(mutation(unpack(content), a, b))
            except (OSError, EOFError, ValueError, zlib.error):
                return content

        mutate.__name__ = f"packed_{mutation.__name__}"
        return mutate

    return tuple(map(inside, mutations))
