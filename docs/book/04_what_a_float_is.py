# %% [markdown]
# # 4. What a float is: rounding, ULP, -0, NaN, FMA
#
# Two engines run one model and differ in the seventh digit. Is one of them wrong? To answer that, one has to know
# what numbers a computer has, and what it does when the result of an addition is none of them. It is less
# mysterious than its reputation: one rule covers nearly all of it. Run this chapter with `python
# docs/book/04_what_a_float_is.py`.

# %%
import inspect
from fractions import Fraction

import matplotlib.pyplot as plt
import ml_dtypes
import numpy as np

import diptych
import diptych_reference
from diptych.compare import compare
from diptych.sources import rust_source
from diptych_reference import numerics
from diptych_reference.numerics import multiply_add

# %% [markdown]
# ## Thirty-two bits
#
# A `float32` (binary32 in the standard, IEEE 754) is a whole number times a power of two. Its 32 bits say which:
# one for the sign, eight for the exponent, 23 for the fraction. Take a tenth to pieces.


# %%
def fields(x):
    bits = int(np.float32(x).view(np.uint32))
    return bits >> 31, bits >> 23 & 0xFF, bits & 0x7FFFFF


def exact(x):
    """The number that the bits mean, as a fraction."""
    sign, exponent, fraction = fields(x)
    whole = fraction + (2**23 if exponent else 0)  # the leading one is not stored
    return (-1) ** sign * Fraction(whole) * Fraction(2) ** (max(exponent, 1) - 150)


sign, exponent, fraction = fields(0.1)
print(f"sign {sign}, exponent {exponent}, fraction {fraction}")
print("that is", exact(0.1), "=", f"{float(exact(0.1)):.20f}")
assert exact(0.1) == Fraction(13421773, 2**27)

# %% [markdown]
# So a tenth is not there. What is there is the nearest whole number over 2^27. Nothing is wrong or vague about
# *that* number; it is exactly what it is. What is inexact is the step from a tenth to it.
#
# Numbers with small whole parts, halves, quarters: all there, exactly.

# %%
for value in (1, 0.5, 0.75, 3, 1024):
    assert exact(value) == Fraction(value)
print(*(f"{value}: {fields(value)}" for value in (1, 0.5, 3)), sep="\n")

# %% [markdown]
# ## The ruler
#
# Between 1 and 2 the floats are evenly spaced; between 2 and 4 as well, at twice the distance; and so on, the same
# number of marks in every *octave*. A float with three bits of fraction instead of 23 shows it.


# %%
def tiny_floats(fraction_bits=3, exponents=range(-2, 3)):
    per_octave = 2**fraction_bits
    return [(1 + i / per_octave) * 2.0**e for e in exponents for i in range(per_octave)]


figure, axes = plt.subplots(figsize=(7, 1.4), layout="constrained")
axes.vlines(tiny_floats(), 0, 1, linewidth=1)
axes.set(yticks=[], xlabel="all numbers of a float with three bits of fraction, from 1/4 to 7.5")
plt.show()

assert min(tiny_floats()) == 0.25
assert max(tiny_floats()) == 7.5

# %% [markdown]
# The distance from a float to its neighbour is called its **ULP**, *unit in the last place*. It grows with the
# number: at 1 it is 2^-23, at 2^24 it is 2. There a float can no longer count.

# %%
print("ULP of 1:", np.spacing(np.float32(1)), " ULP of 2^24:", np.spacing(np.float32(2**24)))
assert np.spacing(np.float32(1)) == 2.0**-23
assert np.spacing(np.float32(2**24)) == 2

counter = np.float32(2**24)
print(f"{counter:.0f} + 1 = {counter + np.float32(1):.0f}")
assert counter + np.float32(1) == counter

# %% [markdown]
# ## The one rule
#
# Add, subtract, multiply, divide and square root all follow it: **the result is the exact result, rounded to the
# nearest float; a tie goes to the neighbour whose last bit is zero.** Nothing about the machine, the language or
# the weather comes into it. Rounding is a small function of exact arithmetic:


# %%
def rn(value):
    """The float32 nearest to a fraction (normal range), ties to even."""
    if value == 0:
        return np.float32(0)
    exponent = 0
    while abs(value) >= Fraction(2) ** (exponent + 24):
        exponent += 1
    while abs(value) < Fraction(2) ** (exponent + 23):
        exponent -= 1
    return np.float32(round(value / Fraction(2) ** exponent) * 2.0**exponent)  # Python's round has ties to even


random = np.random.default_rng(4)
for a, b in random.standard_normal((500, 2)).astype(np.float32):
    assert a + b == rn(exact(a) + exact(b))
    assert a * b == rn(exact(a) * exact(b))
    assert a / b == rn(exact(a) / exact(b))
print("500 sums, products and quotients are the exact ones, rounded")

# %% [markdown]
# How wrong can one rounding be? Half an ULP at most. Compared to the number itself that is never more than
# `u = 2^-24`, about six parts in a hundred million: `rn(x) = x * (1 + d)` with `|d| <= u`. Everything that is ever
# proved about rounding errors begins with this line.

# %%
u = 2.0**-24
xs = np.sort(random.uniform(0.9, 4.2, 8000))
errors = np.abs(xs.astype(np.float32).astype(np.float64) - xs) / xs
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.plot(xs, errors / u, ".", markersize=1)
axes.axhline(1, color="grey", linewidth=1)
axes.set(xlabel="x", ylabel="error of rounding x\n(relative, in units of u)")
plt.show()

print(f"u = {u:.3g}; the worst of these is {errors.max() / u:.3f} u")
assert errors.max() <= u
assert 5.9e-8 < u < 6.0e-8

# %% [markdown]
# The picture is a saw whose teeth are too fine to see, under an envelope that jumps at each power of two: just
# above it, the ULP is largest compared to the number.
#
# ## What goes wrong, then
#
# Each operation is as good as it can be. But the *laws* are gone, because every step rounds. Brackets matter:

# %%
big, one = np.float32(1e8), np.float32(1)
print("(big + 1) - big =", (big + one) - big, "   (big - big) + 1 =", (big - big) + one)
assert (big + one) - big == 0
assert (big - big) + one == 1

# %% [markdown]
# The first answer is not a little wrong, it is all wrong, though only one rounding happened, of relative size
# below `u`. The subtraction was exact! It merely uncovered what the addition had lost: the large parts went away
# and the error stayed. That is **cancellation**, and chapter 8 is about how to avoid it.
#
# So two engines that add in different orders will differ, both being right. And one that wants the *same* bits
# everywhere has to write its order down. That is what `docs/numerics.md` is.
#
# ## Two zeros
#
# The sign has a bit of its own, so there are two zeros. They compare equal, and yet one can tell them apart: by
# dividing.

# %%
zero, minus_zero = np.float32(0.0), np.float32(-0.0)
with np.errstate(divide="ignore"):
    print("equal:", zero == minus_zero, "  1/x:", one / zero, one / minus_zero)
    assert one / zero == np.inf
    assert one / minus_zero == -np.inf
assert zero == minus_zero
assert fields(zero) != fields(minus_zero)

# %% [markdown]
# A `-0` is what is left of a negative number too small to be kept. It vanishes easily: `-0 + 0` is `0`. So a sum
# that starts from `+0` can never give `-0`, and one that starts from its first term can. The difference is a bit,
# and `diptych.compare` sees it where `==` does not. (That is also why padding for a sum is `-0`, not `0`: it
# changes nothing, not even a `-0`.)

# %%
assert not np.signbit(minus_zero + zero)
assert np.signbit(minus_zero + minus_zero)
print(compare(np.array([0.0], np.float32), np.array([-0.0], np.float32)).problem)
assert not compare(np.array([0.0], np.float32), np.array([-0.0], np.float32)).equal

# %% [markdown]
# ## Infinity and not-a-number
#
# The greatest exponent, 255, is kept for what is no number. With a fraction of zero it is infinity, where results go
# that are too large. With any other fraction it is **NaN**, the answer to `0/0` and `inf - inf`.

# %%
with np.errstate(all="ignore"):
    nan = zero / zero
    print(np.finfo(np.float32).max * np.float32(2), np.float32(np.inf) - np.float32(np.inf), nan)
assert fields(np.inf) == (0, 255, 0)
assert fields(nan)[1] == 255
assert fields(nan)[2] != 0

# %% [markdown]
# A NaN is not equal to anything, not even itself, and every comparison with it is false. It spreads: one NaN in,
# nearly everything out. That is its use; an error that stays visible. Sixteen million bit patterns are NaN, and
# IEEE 754 leaves open which one an addition gives. So two results count as equal here if both are NaN, whichever.

# %%
patterns = 2 * (2**23 - 1)
print(f"{patterns} NaNs")
assert nan != nan
assert 16.7e6 < patterns < 16.8e6
one_nan, other_nan = np.array([0x7FC00000, 0xFFC12345], np.uint32).view(np.float32)
assert compare(np.array([one_nan]), np.array([other_nan])).equal

# %% [markdown]
# At the other end, below 2^-126, the leading one is dropped (`exact` above did that: exponent field zero). These
# *subnormal* numbers keep the spacing of the last octave down to zero, so that `x - y` is zero only if x equals y.
# Some engines flush them to zero for speed. Diptych does not.

# %%
x, y = np.float32(1.5 * 2.0**-126), np.float32(2.0**-126)
print("x - y =", x - y, "fields", fields(x - y))
assert x != y
assert x - y == 2.0**-127
assert fields(x - y)[1] == 0
(right,) = diptych.run_operator("Sub", [np.array([x]), np.array([y])])
assert right[0] == x - y

# %% [markdown]
# ## One rounding instead of two
#
# A sum of products, the heart of every network, takes a multiplication and an addition a step, two roundings.
# Processors have one instruction that does both and rounds once: the **fused multiply-add**, `fma(a, b, c) =
# rn(a*b + c)`. It is faster and a little more accurate. And it gives *other bits* than two steps:

# %%
a, c = np.float32(1 + 2.0**-12), np.float32(-(1 + 2.0**-11))
twice = a * a + c
once = numerics.fma(a, a, c)
print("two roundings:", twice, "  one rounding:", once, "  exact:", float(exact(a) ** 2 + exact(c)))
assert twice == 0
assert exact(once) == exact(a) ** 2 + exact(c) == Fraction(1, 2**24)

# %% [markdown]
# The square of `a` needs one bit more than a float has. Rounded first, the bit is gone before the subtraction
# asks for it. A compiler that fuses where the source says "multiply, then add" thus changes results, and one that
# does not fuse changes them too. Diptych's rule: fused where the rounding program says `fma`, nowhere else.
#
# ## How the left panel does it without the instruction
#
# NumPy has no `fma`. Could one multiply and add in `float64`, which has 53 bits, and round that to `float32`? The
# product of two 24-bit numbers fits into 48 bits, so it is exact. The sum is rounded to 53 bits, and then the
# conversion rounds again. Is that the same as rounding once? Almost always.


# %%
def fma_almost(a, b, c):
    return np.float32(np.float64(a) * np.float64(b) + np.float64(c))


a, b, c = (random.standard_normal(100_000).astype(np.float32) for _ in range(3))
agree = np.count_nonzero(fma_almost(a, b, c) == numerics.fma(a, b, c))
print(f"{agree} of {a.size} agree")
assert agree == a.size

# %% [markdown]
# Chance will not find a case; thought does. The first rounding must land exactly on the midpoint of two `float32`
# numbers although the exact sum is beside it. Then the second rounding sees a tie that never was. Let the product
# be 1 + 2^-23 and half an ULP more, and add next to nothing:

# %%
a, b = np.float32(1 + 2.0**-12), np.float32(1 + 2.0**-12)  # the product: 1 + 2^-11 + 2^-24, a midpoint
c = np.float32(2.0**-80)
wrong, right = fma_almost(a, b, c), numerics.fma(a, b, c)
print(f"rounded twice {wrong:.9f}, once {right:.9f}")
assert right == rn(exact(a) * exact(b) + exact(c))
assert wrong != right

# %% [markdown]
# The exact sum lies a hair above the midpoint, so it rounds up; rounded to 53 bits the hair is gone, and the tie
# goes down, to the even neighbour. The repair is pretty: where the first rounding was inexact, make its last bit
# *odd*. An odd number of 53 bits is never a midpoint of 24 bits, so it cannot feign a tie, and it still lies on the
# right side. This is how the reference does it:

# %%
print(inspect.getsource(multiply_add.round_to_odd_sum))

# %% [markdown]
# On the right panel, processors with an `fma` instruction use it. Old ones without it have to give the same bits,
# so they play the same trick, in Rust, on all lanes at once:

# %%
print(rust_source("fma without the instruction"))

# %% [markdown]
# Does the trap catch anybody? One MatMul with two terms is enough: `fma(a, b, fma(c, 1, 0))`.

# %%
left_operand, right_operand = np.array([[c, a]]), np.array([[1], [b]], np.float32)
(by_reference,) = diptych_reference.run_operator("MatMul", [left_operand, right_operand])
assert by_reference[0, 0] == right
for isa in diptych.available_isas():
    (by_engine,) = diptych.run_operator("MatMul", [left_operand, right_operand], isa=isa)
    print(f"{isa:9} {by_engine[0, 0]:.9f}")
    assert compare(by_reference, by_engine).equal

# %% [markdown]
# ## The same ruler, other marks
#
# Half-width floats are cut from the same cloth: `float16` spends its bits on precision, `bfloat16` on range. (A
# number has one bit more than are stored, the leading one.)

# %%
print(f"{'':10}{'bits of precision':>18}{'u':>10}{'greatest':>12}{'least normal':>14}")
for dtype in ("float64", "float32", "float16", "bfloat16"):
    info = ml_dtypes.finfo(dtype)
    unit = 2.0 ** -(info.nmant + 1)
    print(
        f"{dtype:10}{info.nmant + 1:18}{unit:10.1e}{float(info.max):12.3g}{float(info.smallest_normal):14.2g}",
    )
assert float(ml_dtypes.finfo("float16").max) == 65504
assert ml_dtypes.finfo("bfloat16").nmant + 1 == 8

# %% [markdown]
# With 8 bits, `bfloat16` cannot count beyond 256. Numbers are *stored* so, to halve the memory; nobody should add
# in it. Diptych widens both to `float32`, runs the program there, and rounds once at the end.

# %%
counter = ml_dtypes.bfloat16(256)
assert counter + ml_dtypes.bfloat16(1) == counter
ones = np.ones(1000, ml_dtypes.bfloat16)
(total,) = diptych.run_operator("ReduceSum", [ones], {"keepdims": 0})
print("a thousand ones:", total)
assert total == 1000

# %% [markdown]
# So: is one of the two engines wrong that differ in the seventh digit? One cannot tell from the digits alone. One
# has to ask how far *this* computation may lie from the exact result. For a sum of products, that is the next
# chapter.
