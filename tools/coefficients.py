"""Compute the coefficients of the elementary functions (docs/numerics.md, section 3) for both panels.

    python tools/coefficients.py            print each fit and its error
    python tools/coefficients.py --write    write the Python and the Rust table
    python tools/coefficients.py --check    exit 1 if a table in the repository differs from what is computed

Every polynomial is a minimax fit by Remez' exchange in 60 digits. binary32 coefficients are rounded one after the
other, from the lowest power, each time refitting those that are still free, so that a later one makes up for the
rounding of an earlier one; binary64 coefficients are rounded at once. Needs mpmath.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mpmath as mp
import numpy as np

mp.mp.dps = 60
ROOT = Path(__file__).resolve().parent.parent
PYTHON_TABLE = ROOT / "reference/diptych_reference/numerics/coefficients.py"
RUST_TABLE = ROOT / "rust_core/kernels/src/functions/coefficients.rs"
TITLE = "Coefficients of the elementary functions, lowest power first. Written by tools/coefficients.py; do not edit."

Real = mp.mpf
Function = Callable[[Real], Real]


@dataclass(frozen=True)
class Fit:
    """`target(z)` by a polynomial of `degree` on [low, high], so that the largest weighted error is least."""

    name: str
    bits: int  # of the coefficients' format: 32 or 64
    doc: str
    target: Function
    low: Real
    high: Real
    degree: int
    weight: Function


def round_to_format(x: Real, bits: int) -> Real:
    """`x` rounded to binary32 or binary64 (normal range), ties to even."""
    if x == 0:
        return mp.mpf(0)
    with mp.workprec(24 if bits == 32 else 53):
        return +x


def grid(low: Real, high: Real, count: int) -> list[Real]:
    """`count` points of [low, high], denser towards the ends as Chebyshev's are; the ends themselves are left out."""
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle - half * mp.cos(mp.pi * (i + mp.mpf("0.5")) / count) for i in range(count)]


def remez(fit: Fit, fixed: Sequence[Real]) -> tuple[list[Real], Real]:
    """The free coefficients (above the `fixed` lower ones) of the minimax polynomial, and its weighted error."""
    first, free = len(fixed), fit.degree + 1 - len(fixed)
    points = grid(fit.low, fit.high, 24 * (fit.degree + 2))
    targets = [fit.target(z) for z in points]
    weights = [fit.weight(z) for z in points]
    rest = [t - mp.polyval(list(fixed)[::-1] or [0], z) for t, z in zip(targets, points, strict=True)]
    chosen = [round((i + 0.5) * len(points) / (free + 1) - 0.5) for i in range(free + 1)]
    coefficients: list[Real] = []
    worst = mp.mpf(0)
    for _ in range(30):
        rows = [
            [points[j] ** (first + i) for i in range(free)] + [(-1) ** n / weights[j]] for n, j in enumerate(chosen)
        ]
        solution = mp.lu_solve(mp.matrix(rows), mp.matrix([rest[j] for j in chosen]))
        coefficients = [solution[i] for i in range(free)]
        errors = [
            w * (z**first * mp.polyval(coefficients[::-1], z) - r)
            for w, z, r in zip(weights, points, rest, strict=True)
        ]
        worst = max(abs(e) for e in errors)
        if worst <= abs(solution[free]) * mp.mpf("1.001"):
            break
        chosen = exchange(errors, free + 1)
    return coefficients, worst


def exchange(errors: Sequence[Real], count: int) -> list[int]:
    """The largest error of each run of one sign; of these, `count` neighbouring ones that leave out the least."""
    peaks: list[int] = []
    for i, error in enumerate(errors):
        if peaks and (errors[peaks[-1]] > 0) == (error > 0):
            if abs(error) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        else:
            peaks.append(i)
    if len(peaks) < count:
        raise ArithmeticError(f"the error changes sign {len(peaks) - 1} times, {count - 1} needed")
    while len(peaks) > count:
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    return peaks


def solve(fit: Fit) -> tuple[list[Real], Real]:
    """Rounded coefficients of `fit`, lowest power first, and the weighted error of the polynomial they make."""
    fixed: list[Real] = []
    while fit.bits == 32 and len(fixed) < fit.degree:
        fixed.append(round_to_format(remez(fit, fixed)[0][0], fit.bits))
    fixed += [round_to_format(c, fit.bits) for c in remez(fit, fixed)[0]]
    points = grid(fit.low, fit.high, 400)
    return fixed, max(abs(fit.weight(z) * (mp.polyval(fixed[::-1], z) - fit.target(z))) for z in points)


def one(_: Real) -> Real:
    """Weight of an absolute error."""
    return mp.mpf(1)


def of_square(f: Function) -> Function:
    """`f` of an even function's argument, as a function of its square."""
    return lambda z: f(mp.sqrt(z))


def odd_tail(name: str, spelled: str, f: Function, bound: Real | str, degree: int) -> Fit:
    """What an odd function `f` adds to its argument, `(f(x) / x - 1) / x^2`, on |x| <= bound. Evaluated in binary64."""
    high = mp.mpf(bound)
    doc = f"({spelled}(x) / x - 1) / x^2 in x^2, |x| <= {mp.nstr(high, 4)}"
    return Fit(name, 64, doc, of_square(lambda x: (f(x) / x - 1) / x**2), mp.mpf(0), high**2, degree, lambda z: z)


HALF_LN2 = mp.log(2) / 2
LOG_LOW, LOG_HIGH = mp.sqrt("0.5") - 1, mp.sqrt(2) - 1
S_MAX = LOG_HIGH / (2 + LOG_HIGH)  # largest |f / (2 + f)|
QUARTER_PI = mp.pi / 4
SLACK = mp.mpf("1.0005")  # the reduced argument passes its nominal bound by a rounding of the quotient

FITS = [
    Fit("EXP", 32, "(exp(r) - 1 - r) / r^2 in r", lambda r: (mp.expm1(r) - r) / r**2,
        -HALF_LN2 * SLACK, HALF_LN2 * SLACK, 4, lambda r: r**2 / mp.exp(r)),
    Fit("LOG", 32, "(log(1 + f) - f + f^2 / 2) / f^3 in f", lambda f: (mp.log1p(f) - f + f**2 / 2) / f**3,
        LOG_LOW, LOG_HIGH, 8, lambda f: f**3 / mp.log1p(f)),
    Fit("ERF_SMALL", 32, "erf(x) / x - 1 in x^2, |x| < 0.875", of_square(lambda x: mp.erf(x) / x - 1),
        mp.mpf(0), mp.mpf("0.875") ** 2, 5, one),
    Fit("ERF_LARGE", 32, "log(erfc(x)) in x, 0.875 <= x <= 4", lambda x: mp.log(mp.erfc(x)),
        mp.mpf("0.875"), mp.mpf(4), 6, lambda x: mp.erfc(x) / mp.erf(x)),
    Fit("TANH", 32, "(tanh(x) / x - 1) / x^2 in x^2, |x| < 0.625", of_square(lambda x: (mp.tanh(x) / x - 1) / x**2),
        mp.mpf(0), mp.mpf("0.625") ** 2, 4, lambda z: z),
    Fit("SIN_F32", 64, "(sin(r) / r - 1) / r^2 in r^2", of_square(lambda r: (mp.sin(r) / r - 1) / r**2),
        mp.mpf(0), (QUARTER_PI * SLACK) ** 2, 3, lambda z: z),
    Fit("COS_F32", 64, "(cos(r) - 1) / r^2 in r^2", of_square(lambda r: (mp.cos(r) - 1) / r**2),
        mp.mpf(0), (QUARTER_PI * SLACK) ** 2, 3, lambda z: z),
    Fit("LOG2_F32", 64, "log2((1 + s) / (1 - s)) / s in s^2", of_square(lambda s: 2 * mp.atanh(s) / s / mp.log(2)),
        mp.mpf(0), S_MAX**2, 5, one),
    Fit("EXP2_F32", 64, "(2^r - 1) / r in r", lambda r: mp.expm1(r * mp.log(2)) / r,
        mp.mpf("-0.5"), mp.mpf("0.5"), 7, lambda r: r),
    Fit("EXP_F64", 64, "(exp(r) - 1 - r) / r^2 in r", lambda r: (mp.expm1(r) - r) / r**2,
        -HALF_LN2 * SLACK, HALF_LN2 * SLACK, 9, lambda r: r**2 / mp.exp(r)),
    Fit("LOG_F64", 64, "(log((1 + s) / (1 - s)) / s - 2) / s^2 in s^2",
        of_square(lambda s: (2 * mp.atanh(s) / s - 2) / s**2), mp.mpf(0), S_MAX**2, 6, lambda z: z),
    Fit("LOG_TAIL_F64", 64, "((log((1 + s) / (1 - s)) / s - 2) / s^2 - 2/3) / s^2 in s^2",
        of_square(lambda s: ((2 * mp.atanh(s) / s - 2) / s**2 - mp.mpf(2) / 3) / s**2),
        mp.mpf(0), S_MAX**2, 8, lambda z: z**2),
    Fit("ERF_F64", 64, "erf(x) / x - 1 in x^2, |x| < 0.5", of_square(lambda x: mp.erf(x) / x - 1),
        mp.mpf(0), mp.mpf("0.25"), 9, one),
    Fit("TANH_F64", 64, "(tanh(x) / x - 1) / x^2 in x^2, |x| < 0.625",
        of_square(lambda x: (mp.tanh(x) / x - 1) / x**2), mp.mpf(0), mp.mpf("0.625") ** 2, 12, lambda z: z),
    Fit("SIN_F64", 64, "(sin(r) / r - 1) / r^2 in r^2", of_square(lambda r: (mp.sin(r) / r - 1) / r**2),
        mp.mpf(0), (QUARTER_PI * SLACK) ** 2, 6, lambda z: z),
    Fit("COS_F64", 64, "(cos(r) - 1 + r^2 / 2) / r^4 in r^2", of_square(lambda r: (mp.cos(r) - 1 + r**2 / 2) / r**4),
        mp.mpf(0), (QUARTER_PI * SLACK) ** 2, 5, lambda z: z**2),
    odd_tail("ASIN_F32", "asin", mp.asin, "0.5", 7),
    odd_tail("ATAN_F32", "atan", mp.atan, mp.tan(mp.pi / 8) * SLACK, 6),
    odd_tail("ATANH_F32", "atanh", mp.atanh, "0.5", 7),
    odd_tail("ASINH_F32", "asinh", mp.asinh, "0.5", 6),
    odd_tail("SINH_F32", "sinh", mp.sinh, "1", 4),
    odd_tail("ASIN_F64", "asin", mp.asin, "0.5", 13),
    odd_tail("ATAN_F64", "atan", mp.atan, mp.mpf(7) / 16 * SLACK, 11),
    odd_tail("ATANH_F64", "atanh", mp.atanh, "0.5", 13),
    odd_tail("ASINH_F64", "asinh", mp.asinh, "0.5", 12),
    odd_tail("SINH_F64", "sinh", mp.sinh, "1", 7),
]  # fmt: skip

ERF_PIECES = range(1, 12)  # piece j: j/2 <= |x| < (j + 1)/2
ERF_PIECE_DEGREE = 13


def erf_piece(j: int) -> Fit:
    """The error function about the middle of piece `j`, in the distance from it."""
    centre = (j + mp.mpf("0.5")) / 2
    quarter = mp.mpf("0.25")
    return Fit(f"erf piece {j}", 64, "", lambda d: mp.erf(centre + d), -quarter, quarter, ERF_PIECE_DEGREE, one)


def split(x: Real, head_bits: int, bits: int) -> list[Real]:
    """`x` as a head of `head_bits` bits, so that its product with a small integer is exact, and a rounded rest."""
    with mp.workprec(head_bits):
        head = +x
    return [head, round_to_format(x - head, bits)]


def constants() -> list[tuple[str, int, str, list[Real]]]:
    """(name, bits, doc, values) of the constants that are no polynomials."""
    ln2 = mp.log(2)
    half_pi = mp.pi / 2
    return [
        ("LOG2_E", 32, "1 / ln 2", [round_to_format(1 / ln2, 32)]),
        ("LN2", 32, "ln 2 = sum; the head has 15 bits", split(ln2, 15, 32)),
        ("LOG2_E_F64", 64, "1 / ln 2", [round_to_format(1 / ln2, 64)]),
        ("LN2_F64", 64, "ln 2 = sum; the head has 42 bits", split(ln2, 42, 64)),
        ("TWO_OVER_PI", 64, "2 / pi", [round_to_format(2 / mp.pi, 64)]),
        ("HALF_PI_F32", 64, "pi / 2 = sum; the head has 29 bits", split(half_pi, 29, 64)),
        ("HALF_PI_F64", 64, "pi / 2 = sum, each rounded to nearest", split(half_pi, 53, 64)),
        ("LN2_ROUNDED", 64, "ln 2, rounded to nearest", [round_to_format(ln2, 64)]),
        ("ATAN_HALF", 64, "atan(1/2) = sum, each rounded to nearest", split(mp.atan(mp.mpf("0.5")), 53, 64)),
        ("ATAN_THREE_HALVES", 64, "atan(3/2) = sum, each rounded to nearest", split(mp.atan(mp.mpf("1.5")), 53, 64)),
        ("TWO_THIRDS", 64, "2 / 3 = sum, each rounded to nearest", split(mp.mpf(2) / 3, 53, 64)),
    ]


TWO_OVER_PI_WORDS = 40  # 32-bit words: two of zeros, then the binary fraction of 2 / pi


def two_over_pi() -> list[int]:
    """Words of floor(2 / pi * 2^(32 * (TWO_OVER_PI_WORDS - 2))), most significant first, after two words of zeros."""
    with mp.workprec(32 * TWO_OVER_PI_WORDS + 64):
        digits = int(mp.floor(mp.mpf(2) / mp.pi * mp.mpf(2) ** (32 * (TWO_OVER_PI_WORDS - 2))))
    return [(digits >> (32 * (TWO_OVER_PI_WORDS - 1 - i))) & 0xFFFFFFFF for i in range(TWO_OVER_PI_WORDS)]


@dataclass(frozen=True)
class Table:
    """One named row of numbers, or several rows of one length."""

    name: str
    bits: int
    doc: str
    rows: list[list[Real]]
    error: Real | None
    nested: bool = False


def compute() -> list[Table]:
    """Every table, in the order in which it is written."""
    tables = [Table(name, bits, doc, [values], None) for name, bits, doc, values in constants()]
    for fit in FITS:
        coefficients, error = solve(fit)
        tables.append(Table(fit.name, fit.bits, fit.doc, [coefficients], error))
    pieces = [solve(erf_piece(j)) for j in ERF_PIECES]
    doc = f"erf(c + d) in d; row j - 1: j/2 <= |x| < (j + 1)/2 about c = (j + 1/2)/2, j = 1 .. {len(ERF_PIECES)}"
    tables.append(Table("ERF_PIECES", 64, doc, [row for row, _ in pieces], max(error for _, error in pieces), True))
    return tables


def described(table: Table) -> str:
    """The table's comment: what it approximates and how closely."""
    return table.doc if table.error is None else f"{table.doc}: 2^{float(mp.log(table.error, 2)):.1f}"


def as_python(tables: Sequence[Table]) -> str:
    """The Python module."""
    lines = [f'"""{TITLE}"""']
    lines += ["", "from __future__ import annotations", "", "import numpy as np", ""]
    for table in tables:
        lines.append(f"# {described(table)}")
        rows = [[np.float64(str(mp.nstr(x, 40))).item().hex() for x in row] for row in table.rows]
        kind = "np.float32" if table.bits == 32 else "float"
        if table.nested:
            lines.append(f"{table.name} = (")
            for row in rows:
                lines += ["    (", *(f'        float.fromhex("{x}"),' for x in row), "    ),"]
            lines.append(")")
        elif len(rows[0]) == 1:
            value = f'float.fromhex("{rows[0][0]}")'
            lines.append(f"{table.name} = {value if kind == 'float' else f'{kind}({value})'}")
        else:
            one_value = (
                (lambda x: f'float.fromhex("{x}")')
                if kind == "float"
                else (lambda x: f'np.float32(float.fromhex("{x}"))')
            )
            lines += [f"{table.name} = (", *(f"    {one_value(x)}," for x in rows[0]), ")"]
    lines.append("# The binary digits of 2 / pi, 32 a word, after two words of zeros.")
    lines += ["TWO_OVER_PI_DIGITS = (", *(f"    0x{word:08X}," for word in two_over_pi()), ")"]
    return "\n".join(lines) + "\n"


def rust_number(x: Real, bits: int) -> str:
    """`x` by its bit pattern."""
    wide = np.float64(str(mp.nstr(x, 40)))
    if bits == 32:
        return f"f32::from_bits(0x{int(np.float32(wide).view(np.uint32)):08x})"
    return f"f64::from_bits(0x{int(wide.view(np.uint64)):016x})"


def as_rust(tables: Sequence[Table]) -> str:
    """The Rust module."""
    lines = [f"//! {TITLE}"]
    lines.append("")
    for table in tables:
        lines.append(f"/// {described(table)}")
        kind, length = f"f{table.bits}", len(table.rows[0])
        if table.nested:
            lines.append(f"pub const {table.name}: [[{kind}; {length}]; {len(table.rows)}] = [")
            for row in table.rows:
                lines += ["    [", *(f"        {rust_number(x, table.bits)}," for x in row), "    ],"]
            lines.append("];")
        elif length == 1:
            lines.append(f"pub const {table.name}: {kind} = {rust_number(table.rows[0][0], table.bits)};")
        else:
            lines.append(f"pub const {table.name}: [{kind}; {length}] = [")
            lines += [*(f"    {rust_number(x, table.bits)}," for x in table.rows[0]), "];"]
    lines.append("/// The binary digits of 2 / pi, 32 a word, after two words of zeros.")
    lines.append(f"pub const TWO_OVER_PI_DIGITS: [u32; {TWO_OVER_PI_WORDS}] = [")
    lines += [*(f"    0x{word:08x}," for word in two_over_pi()), "];"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print, write or check; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--write", action="store_true", help="write both tables")
    mode.add_argument("--check", action="store_true", help="exit 1 if a table differs from what is computed")
    options = parser.parse_args()
    tables = compute()
    texts = {PYTHON_TABLE: as_python(tables), RUST_TABLE: as_rust(tables)}
    if options.write:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    if options.check:
        stale = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        for path in stale:
            print(
                f"{path.relative_to(ROOT)} is not what tools/coefficients.py computes: run it with --write",
                file=sys.stderr,
            )
        return 1 if stale else 0
    for table in tables:
        print(f"{table.name:14} {sum(map(len, table.rows)):4} {described(table)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
