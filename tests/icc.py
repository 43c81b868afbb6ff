"""ICC profiles made of transfer curves and matrices, for tests."""

import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
# Columns of RGB to XYZ, adapted to D50 (Adobe RGB (1998) specification, annex; ProPhoto: ROMM RGB)
WIDE = {
    "adobe": (2.19921875, [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322],
                           [0.01947, 0.06087, 0.74457]]),
    "prophoto": (1.8, [[0.79767, 0.13519, 0.03134], [0.28804, 0.71188, 0.00009],
                       [0.0, 0.0, 0.82491]]),
    # The primaries of Display P3 (SMPTE EG 432-1), with a plain gamma in place of sRGB's curve.
    "p3": (2.19921875, [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657],
                        [-0.00105, 0.04189, 0.78407]]),
}  # fmt: skip


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def gamma_curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))


def profile(kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 with these tags."""
    tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\x05test\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
    } | tags
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for key, data in tags.items():
        table += key + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12s4s28s", start + len(body), b"", 0x02400000, b"mntr", kind, b"XYZ ", b"",
        b"acsp", b"",
    )  # fmt: skip
    return (head + fixed(*D50)).ljust(128, b"\0") + table + body


def grey_profile(gamma: float) -> bytes:
    return profile(b"GRAY", {b"wtpt": b"XYZ \0\0\0\0" + fixed(*D50), b"kTRC": gamma_curve(gamma)})


def wide_profile(name: str) -> bytes:
    gamma, matrix = WIDE[name]
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(*D50)}
    for index, letter in enumerate((b"r", b"g", b"b")):
        tags[letter + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*(row[index] for row in matrix))
        tags[letter + b"TRC"] = gamma_curve(gamma)
    return profile(b"RGB ", tags)
