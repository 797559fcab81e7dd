"""Coefficients of the elementary functions, lowest power first. Written by tools/coefficients.py; do not edit."""

from __future__ import annotations

import numpy as np

# 1 / ln 2
LOG2_E = np.float32(float.fromhex("0x1.7154760000000p+0"))
# ln 2 = sum; the head has 15 bits
LN2 = (
    np.float32(float.fromhex("0x1.62e4000000000p-1")),
    np.float32(float.fromhex("0x1.7f7d1c0000000p-20")),
)
# 1 / ln 2
LOG2_E_F64 = float.fromhex("0x1.71547652b82fep+0")
# ln 2 = sum; the head has 42 bits
LN2_F64 = (
    float.fromhex("0x1.62e42fefa3800p-1"),
    float.fromhex("0x1.ef35793c76730p-45"),
)
# 2 / pi
TWO_OVER_PI = float.fromhex("0x1.45f306dc9c883p-1")
# pi / 2 = sum; the head has 29 bits
HALF_PI_F32 = (
    float.fromhex("0x1.921fb54000000p+0"),
    float.fromhex("0x1.10b4611a62633p-30"),
)
# pi / 2 = sum, each rounded to nearest
HALF_PI_F64 = (
    float.fromhex("0x1.921fb54442d18p+0"),
    float.fromhex("0x1.1a62633145c07p-54"),
)
# ln 2, rounded to nearest
LN2_ROUNDED = float.fromhex("0x1.62e42fefa39efp-1")
# atan(1/2) = sum, each rounded to nearest
ATAN_HALF = (
    float.fromhex("0x1.dac670561bb4fp-2"),
    float.fromhex("0x1.a2b7f222f65e2p-56"),
)
# atan(3/2) = sum, each rounded to nearest
ATAN_THREE_HALVES = (
    float.fromhex("0x1.f730bd281f69bp-1"),
    float.fromhex("0x1.007887af0cbbdp-56"),
)
# 2 / 3 = sum, each rounded to nearest
TWO_THIRDS = (
    float.fromhex("0x1.5555555555555p-1"),
    float.fromhex("0x1.5555555555555p-55"),
)
# (exp(r) - 1 - r) / r^2 in r: 2^-28.2
EXP = (
    np.float32(float.fromhex("0x1.fffffc0000000p-2")),
    np.float32(float.fromhex("0x1.55548c0000000p-3")),
    np.float32(float.fromhex("0x1.5558580000000p-5")),
    np.float32(float.fromhex("0x1.123db20000000p-7")),
    np.float32(float.fromhex("0x1.6ac28c0000000p-10")),
)
# (log(1 + f) - f + f^2 / 2) / f^3 in f: 2^-28.7
LOG = (
    np.float32(float.fromhex("0x1.5555480000000p-2")),
    np.float32(float.fromhex("-0x1.00006e0000000p-2")),
    np.float32(float.fromhex("0x1.99a53e0000000p-3")),
    np.float32(float.fromhex("-0x1.552fde0000000p-3")),
    np.float32(float.fromhex("0x1.23040c0000000p-3")),
    np.float32(float.fromhex("-0x1.00fa820000000p-3")),
    np.float32(float.fromhex("0x1.efd9420000000p-4")),
    np.float32(float.fromhex("-0x1.bf453a0000000p-4")),
    np.float32(float.fromhex("0x1.b5bbda0000000p-5")),
)
# erf(x) / x - 1 in x^2, |x| < 0.875: 2^-25.9
ERF_SMALL = (
    np.float32(float.fromhex("0x1.06eba60000000p-3")),
    np.float32(float.fromhex("-0x1.8126ec0000000p-2")),
    np.float32(float.fromhex("0x1.ce1b860000000p-4")),
    np.float32(float.fromhex("-0x1.b69cc40000000p-6")),
    np.float32(float.fromhex("0x1.47b16a0000000p-8")),
    np.float32(float.fromhex("-0x1.3c50a40000000p-11")),
)
# log(erfc(x)) in x, 0.875 <= x <= 4: 2^-28.9
ERF_LARGE = (
    np.float32(float.fromhex("-0x1.1862320000000p-13")),
    np.float32(float.fromhex("-0x1.20c0620000000p+0")),
    np.float32(float.fromhex("-0x1.4602940000000p-1")),
    np.float32(float.fromhex("-0x1.ab52080000000p-4")),
    np.float32(float.fromhex("0x1.6f52540000000p-6")),
    np.float32(float.fromhex("-0x1.95497e0000000p-9")),
    np.float32(float.fromhex("0x1.a578ba0000000p-13")),
)
# (tanh(x) / x - 1) / x^2 in x^2, |x| < 0.625: 2^-27.8
TANH = (
    np.float32(float.fromhex("-0x1.5555340000000p-2")),
    np.float32(float.fromhex("0x1.11075e0000000p-3")),
    np.float32(float.fromhex("-0x1.b842c60000000p-5")),
    np.float32(float.fromhex("0x1.524c5a0000000p-6")),
    np.float32(float.fromhex("-0x1.767aba0000000p-8")),
)
# (sin(r) / r - 1) / r^2 in r^2: 2^-37.6
SIN_F32 = (
    float.fromhex("-0x1.5555554cb1c40p-3"),
    float.fromhex("0x1.111108906e2fdp-7"),
    float.fromhex("-0x1.a00f98ece83e3p-13"),
    float.fromhex("0x1.6cd736e234aaep-19"),
)
# (cos(r) - 1) / r^2 in r^2: 2^-34.1
COS_F32 = (
    float.fromhex("-0x1.ffffffd0947e1p-2"),
    float.fromhex("0x1.55553dfe7d6a8p-5"),
    float.fromhex("-0x1.6c08774e94a75p-10"),
    float.fromhex("0x1.993274b00dca0p-16"),
)
# log2((1 + s) / (1 - s)) / s in s^2: 2^-43.6
LOG2_F32 = (
    float.fromhex("0x1.71547652b8250p+1"),
    float.fromhex("0x1.ec709dc53dae9p-1"),
    float.fromhex("0x1.2776c291f3018p-1"),
    float.fromhex("0x1.a61a2fb6071dcp-2"),
    float.fromhex("0x1.479533c8df8d4p-2"),
    float.fromhex("0x1.21b2ac2ddbd23p-2"),
)
# (2^r - 1) / r in r: 2^-40.2
EXP2_F32 = (
    float.fromhex("0x1.62e42fef83dd0p-1"),
    float.fromhex("0x1.ebfbdff82b458p-3"),
    float.fromhex("0x1.c6b08dd951196p-5"),
    float.fromhex("0x1.3b2ab705ad0d3p-7"),
    float.fromhex("0x1.5d8742e42483dp-10"),
    float.fromhex("0x1.4308d8553d368p-13"),
    float.fromhex("0x1.00de1d046a840p-16"),
    float.fromhex("0x1.63974d886ff1cp-20"),
)
# (exp(r) - 1 - r) / r^2 in r: 2^-56.3
EXP_F64 = (
    float.fromhex("0x1.000000000000ap-1"),
    float.fromhex("0x1.55555555554f9p-3"),
    float.fromhex("0x1.5555555550847p-5"),
    float.fromhex("0x1.1111111127dd0p-7"),
    float.fromhex("0x1.6c16c18436faap-10"),
    float.fromhex("0x1.a01a0129c7644p-13"),
    float.fromhex("0x1.a01999e6a45ecp-16"),
    float.fromhex("0x1.71df265b7af5bp-19"),
    float.fromhex("0x1.28ad97d725da4p-22"),
    float.fromhex("0x1.ad7e2d3e7e3f1p-26"),
)
# (log((1 + s) / (1 - s)) / s - 2) / s^2 in s^2: 2^-57.9
LOG_F64 = (
    float.fromhex("0x1.5555555555592p-1"),
    float.fromhex("0x1.999999997fdc2p-2"),
    float.fromhex("0x1.24924941f0512p-2"),
    float.fromhex("0x1.c71c520a2d021p-3"),
    float.fromhex("0x1.74663eb7f7044p-3"),
    float.fromhex("0x1.39a1c013f0d02p-3"),
    float.fromhex("0x1.2f052989fe1c7p-3"),
)
# ((log((1 + s) / (1 - s)) / s - 2) / s^2 - 2/3) / s^2 in s^2: 2^-65.6
LOG_TAIL_F64 = (
    float.fromhex("0x1.999999999999ap-2"),
    float.fromhex("0x1.249249249246fp-2"),
    float.fromhex("0x1.c71c71c72274bp-3"),
    float.fromhex("0x1.745d1741806e3p-3"),
    float.fromhex("0x1.3b13b3113decap-3"),
    float.fromhex("0x1.1110946645c6dp-3"),
    float.fromhex("0x1.e20b7c01ceed9p-4"),
    float.fromhex("0x1.aaec27020b80cp-4"),
    float.fromhex("0x1.c31a54d0e2980p-4"),
)
# erf(x) / x - 1 in x^2, |x| < 0.5: 2^-55.6
ERF_F64 = (
    float.fromhex("0x1.06eba8214db69p-3"),
    float.fromhex("-0x1.812746b0379e6p-2"),
    float.fromhex("0x1.ce2f21a042b2ap-4"),
    float.fromhex("-0x1.b82ce3127f804p-6"),
    float.fromhex("0x1.565bcd0aaa4a0p-8"),
    float.fromhex("-0x1.c02db23ebaf0ep-11"),
    float.fromhex("0x1.f9a2a6b3935d9p-14"),
    float.fromhex("-0x1.f4bba95e708efp-17"),
    float.fromhex("0x1.b776ed8bb76e3p-20"),
    float.fromhex("-0x1.3a00072a113abp-23"),
)
# (tanh(x) / x - 1) / x^2 in x^2, |x| < 0.625: 2^-57.9
TANH_F64 = (
    float.fromhex("-0x1.5555555555555p-2"),
    float.fromhex("0x1.11111111110d4p-3"),
    float.fromhex("-0x1.ba1ba1ba175e7p-5"),
    float.fromhex("0x1.664f48818d7c8p-6"),
    float.fromhex("-0x1.226e352b373adp-7"),
    float.fromhex("0x1.d6d3c5e697d77p-9"),
    float.fromhex("-0x1.7da29824ee967p-10"),
    float.fromhex("0x1.354dca55796c1p-11"),
    float.fromhex("-0x1.f4bf2b95b8f0dp-13"),
    float.fromhex("0x1.91a5c0502776dp-14"),
    float.fromhex("-0x1.335ad46d6a824p-15"),
    float.fromhex("0x1.8c2e47a36abc8p-17"),
    float.fromhex("-0x1.319339baaf87ap-19"),
)
# (sin(r) / r - 1) / r^2 in r^2: 2^-57.3
SIN_F64 = (
    float.fromhex("-0x1.5555555555555p-3"),
    float.fromhex("0x1.111111111110bp-7"),
    float.fromhex("-0x1.a01a01a018acep-13"),
    float.fromhex("0x1.71de3a5337ae2p-19"),
    float.fromhex("-0x1.ae645295ed616p-26"),
    float.fromhex("0x1.6120912ea56a3p-33"),
    float.fromhex("-0x1.aaa48119420fep-41"),
)
# (cos(r) - 1 + r^2 / 2) / r^4 in r^2: 2^-59.7
COS_F64 = (
    float.fromhex("0x1.555555555554cp-5"),
    float.fromhex("-0x1.6c16c16c15163p-10"),
    float.fromhex("0x1.a01a019caf06ap-16"),
    float.fromhex("-0x1.27e4f807e1394p-22"),
    float.fromhex("0x1.1ee9ea72a0f19p-29"),
    float.fromhex("-0x1.8fadd2c39d4b0p-37"),
)
# (asin(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-39.9
ASIN_F32 = (
    float.fromhex("0x1.555555479a9d3p-3"),
    float.fromhex("0x1.333340bd35eb9p-4"),
    float.fromhex("0x1.6db24e6db71f1p-5"),
    float.fromhex("0x1.f2837694ddef3p-6"),
    float.fromhex("0x1.6633ca73cd015p-6"),
    float.fromhex("0x1.527bab124ec3cp-6"),
    float.fromhex("0x1.fe946eeb30e34p-10"),
    float.fromhex("0x1.0ddd4c20be20bp-5"),
)
# (atan(x) / x - 1) / x^2 in x^2, |x| <= 0.4144: 2^-40.2
ATAN_F32 = (
    float.fromhex("-0x1.5555554ef5c08p-2"),
    float.fromhex("0x1.9999920eaae19p-3"),
    float.fromhex("-0x1.2490c59227dffp-3"),
    float.fromhex("0x1.c6d23dc876ecfp-4"),
    float.fromhex("-0x1.708551b364932p-4"),
    float.fromhex("0x1.1e669a6ba06e8p-4"),
    float.fromhex("-0x1.36cd0a0866388p-5"),
)
# (atanh(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-37.3
ATANH_F32 = (
    float.fromhex("0x1.5555552de210cp-2"),
    float.fromhex("0x1.9999c0738506ap-3"),
    float.fromhex("0x1.248bc415efe6cp-3"),
    float.fromhex("0x1.c829d2ea5aefep-4"),
    float.fromhex("0x1.687511321a28ap-4"),
    float.fromhex("0x1.8828b6d17492ep-4"),
    float.fromhex("-0x1.7188c707d6f72p-10"),
    float.fromhex("0x1.6e62c2277f237p-3"),
)
# (asinh(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-38.6
ASINH_F32 = (
    float.fromhex("-0x1.5555553958535p-3"),
    float.fromhex("0x1.33331c4a7e65bp-4"),
    float.fromhex("-0x1.6db07d9075dfap-5"),
    float.fromhex("0x1.f0ee9a99f3fa3p-6"),
    float.fromhex("-0x1.66bb6fbc416d1p-6"),
    float.fromhex("0x1.e6a1057e91ed9p-7"),
    float.fromhex("-0x1.aff0c27513cb4p-8"),
)
# (sinh(x) / x - 1) / x^2 in x^2, |x| <= 1.0: 2^-43.4
SINH_F32 = (
    float.fromhex("0x1.5555555578bbfp-3"),
    float.fromhex("0x1.111110f1bc4bdp-7"),
    float.fromhex("0x1.a01a25a391fc0p-13"),
    float.fromhex("0x1.71cc2bfc558b5p-19"),
    float.fromhex("0x1.b6994c304ffb6p-26"),
)
# (asin(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-59.3
ASIN_F64 = (
    float.fromhex("0x1.5555555555553p-3"),
    float.fromhex("0x1.3333333333a5dp-4"),
    float.fromhex("0x1.6db6db6d46e55p-5"),
    float.fromhex("0x1.f1c71ca8ff51fp-6"),
    float.fromhex("0x1.6e8b9ad916c53p-6"),
    float.fromhex("0x1.1c4f8775cbae5p-6"),
    float.fromhex("0x1.c980a9500de4dp-7"),
    float.fromhex("0x1.7ba6517931995p-7"),
    float.fromhex("0x1.36b47ad634d4fp-7"),
    float.fromhex("0x1.484f55c372713p-7"),
    float.fromhex("0x1.5540ef0b9e76ap-11"),
    float.fromhex("0x1.97ddac36ca794p-6"),
    float.fromhex("-0x1.add9f79d648f0p-6"),
    float.fromhex("0x1.1403bc9b760fdp-5"),
)
# (atan(x) / x - 1) / x^2 in x^2, |x| <= 0.4377: 2^-59.5
ATAN_F64 = (
    float.fromhex("-0x1.5555555555552p-2"),
    float.fromhex("0x1.9999999998fd4p-3"),
    float.fromhex("-0x1.249249244584ep-3"),
    float.fromhex("0x1.c71c71a142ed4p-4"),
    float.fromhex("-0x1.745d11cb1a91cp-4"),
    float.fromhex("0x1.3b132f8adb251p-4"),
    float.fromhex("-0x1.1109087033266p-4"),
    float.fromhex("0x1.e132b853bc1b7p-5"),
    float.fromhex("-0x1.a9fbd2008ee2bp-5"),
    float.fromhex("0x1.6b1f1137fa3f5p-5"),
    float.fromhex("-0x1.05658f1895ccep-5"),
    float.fromhex("0x1.c073e1a9ee30cp-7"),
)
# (atanh(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-58.5
ATANH_F64 = (
    float.fromhex("0x1.555555555554cp-2"),
    float.fromhex("0x1.999999999b41bp-3"),
    float.fromhex("0x1.24924923c3464p-3"),
    float.fromhex("0x1.c71c722d27297p-4"),
    float.fromhex("0x1.745d0862a4871p-4"),
    float.fromhex("0x1.3b151844d0edcp-4"),
    float.fromhex("0x1.10fa120c0bc0dp-4"),
    float.fromhex("0x1.e3f25311d9f8dp-5"),
    float.fromhex("0x1.9e4a73242f51bp-5"),
    float.fromhex("0x1.e837305385b96p-5"),
    float.fromhex("-0x1.636a6bfc925d1p-8"),
    float.fromhex("0x1.669754086e6b1p-3"),
    float.fromhex("-0x1.91f3938b95d22p-3"),
    float.fromhex("0x1.edf19468c05b2p-3"),
)
# (asinh(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-59.3
ASINH_F64 = (
    float.fromhex("-0x1.5555555555554p-3"),
    float.fromhex("0x1.333333333304dp-4"),
    float.fromhex("-0x1.6db6db6d8e254p-5"),
    float.fromhex("0x1.f1c71c5fc2b0bp-6"),
    float.fromhex("-0x1.6e8ba08d6f7e6p-6"),
    float.fromhex("0x1.1c4e920f7361dp-6"),
    float.fromhex("-0x1.c993c7cb4863ep-7"),
    float.fromhex("0x1.7a4be9c663dcdp-7"),
    float.fromhex("-0x1.3e2c64d61d470p-7"),
    float.fromhex("0x1.0a22e99a28847p-7"),
    float.fromhex("-0x1.9e93e08242d32p-8"),
    float.fromhex("0x1.01539ee703b58p-8"),
    float.fromhex("-0x1.65fd91f8883cbp-10"),
)
# (sinh(x) / x - 1) / x^2 in x^2, |x| <= 1.0: 2^-56.5
SINH_F64 = (
    float.fromhex("0x1.5555555555555p-3"),
    float.fromhex("0x1.1111111111111p-7"),
    float.fromhex("0x1.a01a01a019fbdp-13"),
    float.fromhex("0x1.71de3a557431bp-19"),
    float.fromhex("0x1.ae645673dbc88p-26"),
    float.fromhex("0x1.61246b209d934p-33"),
    float.fromhex("0x1.ae7556989b0bdp-41"),
    float.fromhex("0x1.9a7f528709ff7p-49"),
)
# erf(c + d) in d; row j - 1: j/2 <= |x| < (j + 1)/2 about c = (j + 1/2)/2, j = 1 .. 11: 2^-53.8
ERF_PIECES = (
    (
        float.fromhex("0x1.6c1c9759d0e60p-1"),
        float.fromhex("0x1.492e42d78d2c5p-1"),
        float.fromhex("-0x1.edc5644353d39p-2"),
        float.fromhex("0x1.b6e8591f653c8p-6"),
        float.fromhex("0x1.349b5eaa36a51p-3"),
        float.fromhex("-0x1.b42a18904d536p-5"),
        float.fromhex("-0x1.b84779cdc862fp-6"),
        float.fromhex("0x1.2e0afac5e0e45p-6"),
        float.fromhex("0x1.2db3c69953414p-9"),
        float.fromhex("-0x1.04103596ec7b0p-8"),
        float.fromhex("0x1.8549fe5a35e12p-13"),
        float.fromhex("0x1.470dd6728c0c3p-11"),
        float.fromhex("-0x1.a97a4ad2492e3p-14"),
        float.fromhex("-0x1.36444ab0b4926p-14"),
    ),
    (
        float.fromhex("0x1.d8865d98abe00p-1"),
        float.fromhex("0x1.e4652fadcb6b1p-3"),
        float.fromhex("-0x1.2ebf3dcc9f20ep-2"),
        float.fromhex("0x1.571d01c5c598fp-3"),
        float.fromhex("-0x1.93a9a7bc04e64p-8"),
        float.fromhex("-0x1.8281ce0ba3d53p-5"),
        float.fromhex("0x1.5d0003bc35f99p-6"),
        float.fromhex("0x1.db43cb57f3714p-9"),
        float.fromhex("-0x1.75673630d0216p-8"),
        float.fromhex("0x1.cc214224bffcfp-11"),
        float.fromhex("0x1.a00e3c587347fp-11"),
        float.fromhex("-0x1.538761fceb0e6p-12"),
        float.fromhex("-0x1.bf936d2d3260bp-15"),
        float.fromhex("0x1.c71bfd8a0f17ep-15"),
    ),
    (
        float.fromhex("0x1.f92d077f8d56dp-1"),
        float.fromhex("0x1.b055303221018p-5"),
        float.fromhex("-0x1.7a4a8a2bdcd24p-4"),
        float.fromhex("0x1.7148c3d57c00fp-4"),
        float.fromhex("-0x1.8a0da54323e9ep-5"),
        float.fromhex("0x1.b22257ded57fdp-8"),
        float.fromhex("0x1.25b378f5f299dp-7"),
        float.fromhex("-0x1.8d10fbea62682p-8"),
        float.fromhex("0x1.7ec151d838a62p-11"),
        float.fromhex("0x1.d4cf9971b299ep-11"),
        float.fromhex("-0x1.d02a77641d38ep-12"),
        float.fromhex("-0x1.72dafb4a5ce07p-18"),
        float.fromhex("0x1.1bc47d5fa1da2p-14"),
        float.fromhex("-0x1.1bc6ad281aee7p-16"),
    ),
    (
        float.fromhex("0x1.ff404760319b4p-1"),
        float.fromhex("0x1.d4143a9dfe95fp-8"),
        float.fromhex("-0x1.074b60f8df5ffp-6"),
        float.fromhex("0x1.63ef61e824746p-6"),
        float.fromhex("-0x1.38a983275d9f9p-6"),
        float.fromhex("0x1.5d3b17bba4313p-7"),
        float.fromhex("-0x1.7cae0dc815df1p-9"),
        float.fromhex("-0x1.5f8312afa8088p-11"),
        float.fromhex("0x1.060311d740683p-10"),
        float.fromhex("-0x1.83531710484bdp-12"),
        float.fromhex("-0x1.82e4bccc2cb15p-17"),
        float.fromhex("0x1.1148a1f8a811cp-14"),
        float.fromhex("-0x1.702c6db5f21ffp-16"),
        float.fromhex("-0x1.9dffb05b267f8p-20"),
    ),
    (
        float.fromhex("0x1.fff2cfb0453d9p-1"),
        float.fromhex("0x1.3360ccd23db3ap-11"),
        float.fromhex("-0x1.a6a519a114204p-10"),
        float.fromhex("0x1.69cf466ccdf8fp-9"),
        float.fromhex("-0x1.ab0c273b1ddc7p-9"),
        float.fromhex("0x1.69359606632c4p-9"),
        float.fromhex("-0x1.b2755bb8c1dc9p-10"),
        float.fromhex("0x1.52b62640c43bep-11"),
        float.fromhex("-0x1.755837027cd83p-14"),
        float.fromhex("-0x1.2abb3e7812731p-14"),
        float.fromhex("0x1.cd7d4a7c125f4p-15"),
        float.fromhex("-0x1.09d02c94add3ep-16"),
        float.fromhex("-0x1.54655b7902182p-20"),
        float.fromhex("0x1.68a23e06d0091p-19"),
    ),
    (
        float.fromhex("0x1.ffff6f9f67e55p-1"),
        float.fromhex("0x1.e9b5e8d00cec8p-16"),
        float.fromhex("-0x1.8de3cd290a770p-14"),
        float.fromhex("0x1.9aa489e3c95f3p-13"),
        float.fromhex("-0x1.2c7d5ef0553dcp-12"),
        float.fromhex("0x1.490a4d2388301p-12"),
        float.fromhex("-0x1.145464e9a9e5cp-12"),
        float.fromhex("0x1.647f71d5cb6c8p-13"),
        float.fromhex("-0x1.56747a1bdf69bp-14"),
        float.fromhex("0x1.b2c373a03d7d9p-16"),
        float.fromhex("-0x1.38928c3a8647bp-19"),
        float.fromhex("-0x1.80a5c330c3926p-19"),
        float.fromhex("0x1.ff3185e418775p-20"),
        float.fromhex("-0x1.1db638eabde42p-21"),
    ),
    (
        float.fromhex("0x1.fffffc2f171e3p-1"),
        float.fromhex("0x1.d9371e2ff78eap-21"),
        float.fromhex("-0x1.bba3ac4d09ed2p-19"),
        float.fromhex("0x1.0b6a7b0f221fap-17"),
        float.fromhex("-0x1.d06f585c2a5bdp-17"),
        float.fromhex("0x1.3436bc9db69c3p-16"),
        float.fromhex("-0x1.4357b62831002p-16"),
        float.fromhex("0x1.110de52a6041dp-16"),
        float.fromhex("-0x1.756673544446ap-17"),
        float.fromhex("0x1.99f5755d97558p-18"),
        float.fromhex("-0x1.5d84b70b92f4dp-19"),
        float.fromhex("0x1.a0739280d93a5p-21"),
        float.fromhex("-0x1.5af8c47b45226p-24"),
        float.fromhex("-0x1.055c10f0fffefp-24"),
    ),
    (
        float.fromhex("0x1.fffffff01a8b6p-1"),
        float.fromhex("0x1.155a09065d185p-26"),
        float.fromhex("-0x1.26afa9969d2e9p-24"),
        float.fromhex("0x1.95ea6fe0098cap-23"),
        float.fromhex("-0x1.96ba7370425f4p-22"),
        float.fromhex("0x1.3b468017919d7p-21"),
        float.fromhex("-0x1.8868e008fbb7fp-21"),
        float.fromhex("0x1.916e92c636062p-21"),
        float.fromhex("-0x1.566f53bee403cp-21"),
        float.fromhex("0x1.eab4bd2ea748dp-22"),
        float.fromhex("-0x1.274999d1f2764p-22"),
        float.fromhex("0x1.27dfc4b39e4cep-23"),
        float.fromhex("-0x1.e5c8e69d298f5p-25"),
        float.fromhex("0x1.245695243df29p-26"),
    ),
    (
        float.fromhex("0x1.ffffffffd759dp-1"),
        float.fromhex("0x1.8a61745ed7a3cp-33"),
        float.fromhex("-0x1.d453ba2b30ca6p-31"),
        float.fromhex("0x1.6a8aeba26db67p-29"),
        float.fromhex("-0x1.9b017b6773d15p-28"),
        float.fromhex("0x1.6b43c9a1d9fd4p-27"),
        float.fromhex("-0x1.042f1a546fc26p-26"),
        float.fromhex("0x1.35dc786fcb83ep-26"),
        float.fromhex("-0x1.3837c2cbcd97ap-26"),
        float.fromhex("0x1.0d4e734c70598p-26"),
        float.fromhex("-0x1.9023bde664ca6p-27"),
        float.fromhex("0x1.01aacd5e7feefp-27"),
        float.fromhex("-0x1.2b16fc4686227p-28"),
        float.fromhex("0x1.1adb4c0d942fcp-29"),
    ),
    (
        float.fromhex("0x1.ffffffffffc05p-1"),
        float.fromhex("0x1.5422ef5e1cb69p-40"),
        float.fromhex("-0x1.be6dda0800c15p-38"),
        float.fromhex("0x1.7f8a0f2b2ab51p-36"),
        float.fromhex("-0x1.e4cb4f4185f01p-35"),
        float.fromhex("0x1.e044b6ca2dac3p-34"),
        float.fromhex("-0x1.83e9e3a3689a5p-33"),
        float.fromhex("0x1.06592707ee0c1p-32"),
        float.fromhex("-0x1.2ece91da565f4p-32"),
        float.fromhex("0x1.2e3f532426a82p-32"),
        float.fromhex("-0x1.06a8e1dff103bp-32"),
        float.fromhex("0x1.93190f9096ec6p-33"),
        float.fromhex("-0x1.254bd28fcb020p-33"),
        float.fromhex("0x1.5cfccb5bf7a26p-34"),
    ),
    (
        float.fromhex("0x1.ffffffffffffcp-1"),
        float.fromhex("0x1.63daf8b86c6c6p-48"),
        float.fromhex("-0x1.ff8ac4cc0d40cp-46"),
        float.fromhex("0x1.e2d06cf4cd377p-44"),
        float.fromhex("-0x1.505da0ab90421p-42"),
        float.fromhex("0x1.70b70a650dd51p-41"),
        float.fromhex("-0x1.4aec55c8ea8c7p-40"),
        float.fromhex("0x1.f3c4510392e98p-40"),
        float.fromhex("-0x1.43d98bd1217a6p-39"),
        float.fromhex("0x1.6d2f63f8ae799p-39"),
        float.fromhex("-0x1.6815223463f08p-39"),
        float.fromhex("0x1.3d56b6c3cfb7bp-39"),
        float.fromhex("-0x1.146170d359387p-39"),
        float.fromhex("0x1.8310394dad735p-40"),
    ),
)
# The binary digits of 2 / pi, 32 a word, after two words of zeros.
TWO_OVER_PI_DIGITS = (
    0x00000000,
    0x00000000,
    0xA2F9836E,
    0x4E441529,
    0xFC2757D1,
    0xF534DDC0,
    0xDB629599,
    0x3C439041,
    0xFE5163AB,
    0xDEBBC561,
    0xB7246E3A,
    0x424DD2E0,
    0x06492EEA,
    0x09D1921C,
    0xFE1DEB1C,
    0xB129A73E,
    0xE88235F5,
    0x2EBB4484,
    0xE99C7026,
    0xB45F7E41,
    0x3991D639,
    0x835339F4,
    0x9C845F8B,
    0xBDF9283B,
    0x1FF897FF,
    0xDE05980F,
    0xEF2F118B,
    0x5A0A6D1F,
    0x6D367ECF,
    0x27CB09B7,
    0x4F463F66,
    0x9E5FEA2D,
    0x7527BAC7,
    0xEBE5F17B,
    0x3D0739F7,
    0x8A5292EA,
    0x6BFB5FB1,
    0x1F8D5D08,
    0x56033046,
    0xFC7B6BAB,
)
