//! Coefficients of the elementary functions, lowest power first. Written by tools/coefficients.py; do not edit.

/// 1 / ln 2
pub const LOG2_E: f32 = f32::from_bits(0x3fb8aa3b);
/// ln 2 = sum; the head has 15 bits
pub const LN2: [f32; 2] = [
    f32::from_bits(0x3f317200),
    f32::from_bits(0x35bfbe8e),
];
/// 1 / ln 2
pub const LOG2_E_F64: f64 = f64::from_bits(0x3ff71547652b82fe);
/// ln 2 = sum; the head has 42 bits
pub const LN2_F64: [f64; 2] = [
    f64::from_bits(0x3fe62e42fefa3800),
    f64::from_bits(0x3d2ef35793c76730),
];
/// 2 / pi
pub const TWO_OVER_PI: f64 = f64::from_bits(0x3fe45f306dc9c883);
/// pi / 2 = sum; the head has 29 bits
pub const HALF_PI_F32: [f64; 2] = [
    f64::from_bits(0x3ff921fb54000000),
    f64::from_bits(0x3e110b4611a62633),
];
/// pi / 2 = sum, each rounded to nearest
pub const HALF_PI_F64: [f64; 2] = [
    f64::from_bits(0x3ff921fb54442d18),
    f64::from_bits(0x3c91a62633145c07),
];
/// ln 2, rounded to nearest
pub const LN2_ROUNDED: f64 = f64::from_bits(0x3fe62e42fefa39ef);
/// atan(1/2) = sum, each rounded to nearest
pub const ATAN_HALF: [f64; 2] = [
    f64::from_bits(0x3fddac670561bb4f),
    f64::from_bits(0x3c7a2b7f222f65e2),
];
/// atan(3/2) = sum, each rounded to nearest
pub const ATAN_THREE_HALVES: [f64; 2] = [
    f64::from_bits(0x3fef730bd281f69b),
    f64::from_bits(0x3c7007887af0cbbd),
];
/// 2 / 3 = sum, each rounded to nearest
pub const TWO_THIRDS: [f64; 2] = [
    f64::from_bits(0x3fe5555555555555),
    f64::from_bits(0x3c85555555555555),
];
/// (exp(r) - 1 - r) / r^2 in r: 2^-28.2
pub const EXP: [f32; 5] = [
    f32::from_bits(0x3efffffe),
    f32::from_bits(0x3e2aaa46),
    f32::from_bits(0x3d2aac2c),
    f32::from_bits(0x3c091ed9),
    f32::from_bits(0x3ab56146),
];
/// (log(1 + f) - f + f^2 / 2) / f^3 in f: 2^-28.7
pub const LOG: [f32; 9] = [
    f32::from_bits(0x3eaaaaa4),
    f32::from_bits(0xbe800037),
    f32::from_bits(0x3e4cd29f),
    f32::from_bits(0xbe2a97ef),
    f32::from_bits(0x3e118206),
    f32::from_bits(0xbe007d41),
    f32::from_bits(0x3df7eca1),
    f32::from_bits(0xbddfa29d),
    f32::from_bits(0x3d5added),
];
/// erf(x) / x - 1 in x^2, |x| < 0.875: 2^-25.9
pub const ERF_SMALL: [f32; 6] = [
    f32::from_bits(0x3e0375d3),
    f32::from_bits(0xbec09376),
    f32::from_bits(0x3de70dc3),
    f32::from_bits(0xbcdb4e62),
    f32::from_bits(0x3ba3d8b5),
    f32::from_bits(0xba1e2852),
];
/// log(erfc(x)) in x, 0.875 <= x <= 4: 2^-28.9
pub const ERF_LARGE: [f32; 7] = [
    f32::from_bits(0xb90c3119),
    f32::from_bits(0xbf906031),
    f32::from_bits(0xbf23014a),
    f32::from_bits(0xbdd5a904),
    f32::from_bits(0x3cb7a92a),
    f32::from_bits(0xbb4aa4bf),
    f32::from_bits(0x3952bc5d),
];
/// (tanh(x) / x - 1) / x^2 in x^2, |x| < 0.625: 2^-27.8
pub const TANH: [f32; 5] = [
    f32::from_bits(0xbeaaaa9a),
    f32::from_bits(0x3e0883af),
    f32::from_bits(0xbd5c2163),
    f32::from_bits(0x3ca9262d),
    f32::from_bits(0xbbbb3d5d),
];
/// (sin(r) / r - 1) / r^2 in r^2: 2^-37.6
pub const SIN_F32: [f64; 4] = [
    f64::from_bits(0xbfc5555554cb1c40),
    f64::from_bits(0x3f8111108906e2fd),
    f64::from_bits(0xbf2a00f98ece83e3),
    f64::from_bits(0x3ec6cd736e234aae),
];
/// (cos(r) - 1) / r^2 in r^2: 2^-34.1
pub const COS_F32: [f64; 4] = [
    f64::from_bits(0xbfdffffffd0947e1),
    f64::from_bits(0x3fa55553dfe7d6a8),
    f64::from_bits(0xbf56c08774e94a75),
    f64::from_bits(0x3ef993274b00dca0),
];
/// log2((1 + s) / (1 - s)) / s in s^2: 2^-43.6
pub const LOG2_F32: [f64; 6] = [
    f64::from_bits(0x40071547652b8250),
    f64::from_bits(0x3feec709dc53dae9),
    f64::from_bits(0x3fe2776c291f3018),
    f64::from_bits(0x3fda61a2fb6071dc),
    f64::from_bits(0x3fd479533c8df8d4),
    f64::from_bits(0x3fd21b2ac2ddbd23),
];
/// (2^r - 1) / r in r: 2^-40.2
pub const EXP2_F32: [f64; 8] = [
    f64::from_bits(0x3fe62e42fef83dd0),
    f64::from_bits(0x3fcebfbdff82b458),
    f64::from_bits(0x3fac6b08dd951196),
    f64::from_bits(0x3f83b2ab705ad0d3),
    f64::from_bits(0x3f55d8742e42483d),
    f64::from_bits(0x3f24308d8553d368),
    f64::from_bits(0x3ef00de1d046a840),
    f64::from_bits(0x3eb63974d886ff1c),
];
/// (exp(r) - 1 - r) / r^2 in r: 2^-56.3
pub const EXP_F64: [f64; 10] = [
    f64::from_bits(0x3fe000000000000a),
    f64::from_bits(0x3fc55555555554f9),
    f64::from_bits(0x3fa5555555550847),
    f64::from_bits(0x3f81111111127dd0),
    f64::from_bits(0x3f56c16c18436faa),
    f64::from_bits(0x3f2a01a0129c7644),
    f64::from_bits(0x3efa01999e6a45ec),
    f64::from_bits(0x3ec71df265b7af5b),
    f64::from_bits(0x3e928ad97d725da4),
    f64::from_bits(0x3e5ad7e2d3e7e3f1),
];
/// (log((1 + s) / (1 - s)) / s - 2) / s^2 in s^2: 2^-57.9
pub const LOG_F64: [f64; 7] = [
    f64::from_bits(0x3fe5555555555592),
    f64::from_bits(0x3fd999999997fdc2),
    f64::from_bits(0x3fd24924941f0512),
    f64::from_bits(0x3fcc71c520a2d021),
    f64::from_bits(0x3fc74663eb7f7044),
    f64::from_bits(0x3fc39a1c013f0d02),
    f64::from_bits(0x3fc2f052989fe1c7),
];
/// ((log((1 + s) / (1 - s)) / s - 2) / s^2 - 2/3) / s^2 in s^2: 2^-65.6
pub const LOG_TAIL_F64: [f64; 9] = [
    f64::from_bits(0x3fd999999999999a),
    f64::from_bits(0x3fd249249249246f),
    f64::from_bits(0x3fcc71c71c72274b),
    f64::from_bits(0x3fc745d1741806e3),
    f64::from_bits(0x3fc3b13b3113deca),
    f64::from_bits(0x3fc1110946645c6d),
    f64::from_bits(0x3fbe20b7c01ceed9),
    f64::from_bits(0x3fbaaec27020b80c),
    f64::from_bits(0x3fbc31a54d0e2980),
];
/// erf(x) / x - 1 in x^2, |x| < 0.5: 2^-55.6
pub const ERF_F64: [f64; 10] = [
    f64::from_bits(0x3fc06eba8214db69),
    f64::from_bits(0xbfd812746b0379e6),
    f64::from_bits(0x3fbce2f21a042b2a),
    f64::from_bits(0xbf9b82ce3127f804),
    f64::from_bits(0x3f7565bcd0aaa4a0),
    f64::from_bits(0xbf4c02db23ebaf0e),
    f64::from_bits(0x3f1f9a2a6b3935d9),
    f64::from_bits(0xbeef4bba95e708ef),
    f64::from_bits(0x3ebb776ed8bb76e3),
    f64::from_bits(0xbe83a00072a113ab),
];
/// (tanh(x) / x - 1) / x^2 in x^2, |x| < 0.625: 2^-57.9
pub const TANH_F64: [f64; 13] = [
    f64::from_bits(0xbfd5555555555555),
    f64::from_bits(0x3fc11111111110d4),
    f64::from_bits(0xbfaba1ba1ba175e7),
    f64::from_bits(0x3f9664f48818d7c8),
    f64::from_bits(0xbf8226e352b373ad),
    f64::from_bits(0x3f6d6d3c5e697d77),
    f64::from_bits(0xbf57da29824ee967),
    f64::from_bits(0x3f4354dca55796c1),
    f64::from_bits(0xbf2f4bf2b95b8f0d),
    f64::from_bits(0x3f191a5c0502776d),
    f64::from_bits(0xbf0335ad46d6a824),
    f64::from_bits(0x3ee8c2e47a36abc8),
    f64::from_bits(0xbec319339baaf87a),
];
/// (sin(r) / r - 1) / r^2 in r^2: 2^-57.3
pub const SIN_F64: [f64; 7] = [
    f64::from_bits(0xbfc5555555555555),
    f64::from_bits(0x3f8111111111110b),
    f64::from_bits(0xbf2a01a01a018ace),
    f64::from_bits(0x3ec71de3a5337ae2),
    f64::from_bits(0xbe5ae645295ed616),
    f64::from_bits(0x3de6120912ea56a3),
    f64::from_bits(0xbd6aaa48119420fe),
];
/// (cos(r) - 1 + r^2 / 2) / r^4 in r^2: 2^-59.7
pub const COS_F64: [f64; 6] = [
    f64::from_bits(0x3fa555555555554c),
    f64::from_bits(0xbf56c16c16c15163),
    f64::from_bits(0x3efa01a019caf06a),
    f64::from_bits(0xbe927e4f807e1394),
    f64::from_bits(0x3e21ee9ea72a0f19),
    f64::from_bits(0xbda8fadd2c39d4b0),
];
/// (asin(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-39.9
pub const ASIN_F32: [f64; 8] = [
    f64::from_bits(0x3fc555555479a9d3),
    f64::from_bits(0x3fb333340bd35eb9),
    f64::from_bits(0x3fa6db24e6db71f1),
    f64::from_bits(0x3f9f2837694ddef3),
    f64::from_bits(0x3f96633ca73cd015),
    f64::from_bits(0x3f9527bab124ec3c),
    f64::from_bits(0x3f5fe946eeb30e34),
    f64::from_bits(0x3fa0ddd4c20be20b),
];
/// (atan(x) / x - 1) / x^2 in x^2, |x| <= 0.4144: 2^-40.2
pub const ATAN_F32: [f64; 7] = [
    f64::from_bits(0xbfd5555554ef5c08),
    f64::from_bits(0x3fc9999920eaae19),
    f64::from_bits(0xbfc2490c59227dff),
    f64::from_bits(0x3fbc6d23dc876ecf),
    f64::from_bits(0xbfb708551b364932),
    f64::from_bits(0x3fb1e669a6ba06e8),
    f64::from_bits(0xbfa36cd0a0866388),
];
/// (atanh(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-37.3
pub const ATANH_F32: [f64; 8] = [
    f64::from_bits(0x3fd5555552de210c),
    f64::from_bits(0x3fc9999c0738506a),
    f64::from_bits(0x3fc248bc415efe6c),
    f64::from_bits(0x3fbc829d2ea5aefe),
    f64::from_bits(0x3fb687511321a28a),
    f64::from_bits(0x3fb8828b6d17492e),
    f64::from_bits(0xbf57188c707d6f72),
    f64::from_bits(0x3fc6e62c2277f237),
];
/// (asinh(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-38.6
pub const ASINH_F32: [f64; 7] = [
    f64::from_bits(0xbfc5555553958535),
    f64::from_bits(0x3fb33331c4a7e65b),
    f64::from_bits(0xbfa6db07d9075dfa),
    f64::from_bits(0x3f9f0ee9a99f3fa3),
    f64::from_bits(0xbf966bb6fbc416d1),
    f64::from_bits(0x3f8e6a1057e91ed9),
    f64::from_bits(0xbf7aff0c27513cb4),
];
/// (sinh(x) / x - 1) / x^2 in x^2, |x| <= 1.0: 2^-43.4
pub const SINH_F32: [f64; 5] = [
    f64::from_bits(0x3fc5555555578bbf),
    f64::from_bits(0x3f8111110f1bc4bd),
    f64::from_bits(0x3f2a01a25a391fc0),
    f64::from_bits(0x3ec71cc2bfc558b5),
    f64::from_bits(0x3e5b6994c304ffb6),
];
/// (asin(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-59.3
pub const ASIN_F64: [f64; 14] = [
    f64::from_bits(0x3fc5555555555553),
    f64::from_bits(0x3fb3333333333a5d),
    f64::from_bits(0x3fa6db6db6d46e55),
    f64::from_bits(0x3f9f1c71ca8ff51f),
    f64::from_bits(0x3f96e8b9ad916c53),
    f64::from_bits(0x3f91c4f8775cbae5),
    f64::from_bits(0x3f8c980a9500de4d),
    f64::from_bits(0x3f87ba6517931995),
    f64::from_bits(0x3f836b47ad634d4f),
    f64::from_bits(0x3f8484f55c372713),
    f64::from_bits(0x3f45540ef0b9e76a),
    f64::from_bits(0x3f997ddac36ca794),
    f64::from_bits(0xbf9add9f79d648f0),
    f64::from_bits(0x3fa1403bc9b760fd),
];
/// (atan(x) / x - 1) / x^2 in x^2, |x| <= 0.4377: 2^-59.5
pub const ATAN_F64: [f64; 12] = [
    f64::from_bits(0xbfd5555555555552),
    f64::from_bits(0x3fc9999999998fd4),
    f64::from_bits(0xbfc249249244584e),
    f64::from_bits(0x3fbc71c71a142ed4),
    f64::from_bits(0xbfb745d11cb1a91c),
    f64::from_bits(0x3fb3b132f8adb251),
    f64::from_bits(0xbfb1109087033266),
    f64::from_bits(0x3fae132b853bc1b7),
    f64::from_bits(0xbfaa9fbd2008ee2b),
    f64::from_bits(0x3fa6b1f1137fa3f5),
    f64::from_bits(0xbfa05658f1895cce),
    f64::from_bits(0x3f8c073e1a9ee30c),
];
/// (atanh(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-58.5
pub const ATANH_F64: [f64; 14] = [
    f64::from_bits(0x3fd555555555554c),
    f64::from_bits(0x3fc999999999b41b),
    f64::from_bits(0x3fc24924923c3464),
    f64::from_bits(0x3fbc71c722d27297),
    f64::from_bits(0x3fb745d0862a4871),
    f64::from_bits(0x3fb3b151844d0edc),
    f64::from_bits(0x3fb10fa120c0bc0d),
    f64::from_bits(0x3fae3f25311d9f8d),
    f64::from_bits(0x3fa9e4a73242f51b),
    f64::from_bits(0x3fae837305385b96),
    f64::from_bits(0xbf7636a6bfc925d1),
    f64::from_bits(0x3fc669754086e6b1),
    f64::from_bits(0xbfc91f3938b95d22),
    f64::from_bits(0x3fcedf19468c05b2),
];
/// (asinh(x) / x - 1) / x^2 in x^2, |x| <= 0.5: 2^-59.3
pub const ASINH_F64: [f64; 13] = [
    f64::from_bits(0xbfc5555555555554),
    f64::from_bits(0x3fb333333333304d),
    f64::from_bits(0xbfa6db6db6d8e254),
    f64::from_bits(0x3f9f1c71c5fc2b0b),
    f64::from_bits(0xbf96e8ba08d6f7e6),
    f64::from_bits(0x3f91c4e920f7361d),
    f64::from_bits(0xbf8c993c7cb4863e),
    f64::from_bits(0x3f87a4be9c663dcd),
    f64::from_bits(0xbf83e2c64d61d470),
    f64::from_bits(0x3f80a22e99a28847),
    f64::from_bits(0xbf79e93e08242d32),
    f64::from_bits(0x3f701539ee703b58),
    f64::from_bits(0xbf565fd91f8883cb),
];
/// (sinh(x) / x - 1) / x^2 in x^2, |x| <= 1.0: 2^-56.5
pub const SINH_F64: [f64; 8] = [
    f64::from_bits(0x3fc5555555555555),
    f64::from_bits(0x3f81111111111111),
    f64::from_bits(0x3f2a01a01a019fbd),
    f64::from_bits(0x3ec71de3a557431b),
    f64::from_bits(0x3e5ae645673dbc88),
    f64::from_bits(0x3de61246b209d934),
    f64::from_bits(0x3d6ae7556989b0bd),
    f64::from_bits(0x3ce9a7f528709ff7),
];
/// erf(c + d) in d; row j - 1: j/2 <= |x| < (j + 1)/2 about c = (j + 1/2)/2, j = 1 .. 11: 2^-53.8
pub const ERF_PIECES: [[f64; 14]; 11] = [
    [
        f64::from_bits(0x3fe6c1c9759d0e60),
        f64::from_bits(0x3fe492e42d78d2c5),
        f64::from_bits(0xbfdedc5644353d39),
        f64::from_bits(0x3f9b6e8591f653c8),
        f64::from_bits(0x3fc349b5eaa36a51),
        f64::from_bits(0xbfab42a18904d536),
        f64::from_bits(0xbf9b84779cdc862f),
        f64::from_bits(0x3f92e0afac5e0e45),
        f64::from_bits(0x3f62db3c69953414),
        f64::from_bits(0xbf704103596ec7b0),
        f64::from_bits(0x3f28549fe5a35e12),
        f64::from_bits(0x3f4470dd6728c0c3),
        f64::from_bits(0xbf1a97a4ad2492e3),
        f64::from_bits(0xbf136444ab0b4926),
    ],
    [
        f64::from_bits(0x3fed8865d98abe00),
        f64::from_bits(0x3fce4652fadcb6b1),
        f64::from_bits(0xbfd2ebf3dcc9f20e),
        f64::from_bits(0x3fc571d01c5c598f),
        f64::from_bits(0xbf793a9a7bc04e64),
        f64::from_bits(0xbfa8281ce0ba3d53),
        f64::from_bits(0x3f95d0003bc35f99),
        f64::from_bits(0x3f6db43cb57f3714),
        f64::from_bits(0xbf775673630d0216),
        f64::from_bits(0x3f4cc214224bffcf),
        f64::from_bits(0x3f4a00e3c587347f),
        f64::from_bits(0xbf3538761fceb0e6),
        f64::from_bits(0xbf0bf936d2d3260b),
        f64::from_bits(0x3f0c71bfd8a0f17e),
    ],
    [
        f64::from_bits(0x3fef92d077f8d56d),
        f64::from_bits(0x3fab055303221018),
        f64::from_bits(0xbfb7a4a8a2bdcd24),
        f64::from_bits(0x3fb7148c3d57c00f),
        f64::from_bits(0xbfa8a0da54323e9e),
        f64::from_bits(0x3f7b22257ded57fd),
        f64::from_bits(0x3f825b378f5f299d),
        f64::from_bits(0xbf78d10fbea62682),
        f64::from_bits(0x3f47ec151d838a62),
        f64::from_bits(0x3f4d4cf9971b299e),
        f64::from_bits(0xbf3d02a77641d38e),
        f64::from_bits(0xbed72dafb4a5ce07),
        f64::from_bits(0x3f11bc47d5fa1da2),
        f64::from_bits(0xbef1bc6ad281aee7),
    ],
    [
        f64::from_bits(0x3feff404760319b4),
        f64::from_bits(0x3f7d4143a9dfe95f),
        f64::from_bits(0xbf9074b60f8df5ff),
        f64::from_bits(0x3f963ef61e824746),
        f64::from_bits(0xbf938a983275d9f9),
        f64::from_bits(0x3f85d3b17bba4313),
        f64::from_bits(0xbf67cae0dc815df1),
        f64::from_bits(0xbf45f8312afa8088),
        f64::from_bits(0x3f5060311d740683),
        f64::from_bits(0xbf383531710484bd),
        f64::from_bits(0xbee82e4bccc2cb15),
        f64::from_bits(0x3f11148a1f8a811c),
        f64::from_bits(0xbef702c6db5f21ff),
        f64::from_bits(0xbeb9dffb05b267f8),
    ],
    [
        f64::from_bits(0x3fefff2cfb0453d9),
        f64::from_bits(0x3f43360ccd23db3a),
        f64::from_bits(0xbf5a6a519a114204),
        f64::from_bits(0x3f669cf466ccdf8f),
        f64::from_bits(0xbf6ab0c273b1ddc7),
        f64::from_bits(0x3f669359606632c4),
        f64::from_bits(0xbf5b2755bb8c1dc9),
        f64::from_bits(0x3f452b62640c43be),
        f64::from_bits(0xbf1755837027cd83),
        f64::from_bits(0xbf12abb3e7812731),
        f64::from_bits(0x3f0cd7d4a7c125f4),
        f64::from_bits(0xbef09d02c94add3e),
        f64::from_bits(0xbeb54655b7902182),
        f64::from_bits(0x3ec68a23e06d0091),
    ],
    [
        f64::from_bits(0x3feffff6f9f67e55),
        f64::from_bits(0x3efe9b5e8d00cec8),
        f64::from_bits(0xbf18de3cd290a770),
        f64::from_bits(0x3f29aa489e3c95f3),
        f64::from_bits(0xbf32c7d5ef0553dc),
        f64::from_bits(0x3f3490a4d2388301),
        f64::from_bits(0xbf3145464e9a9e5c),
        f64::from_bits(0x3f2647f71d5cb6c8),
        f64::from_bits(0xbf156747a1bdf69b),
        f64::from_bits(0x3efb2c373a03d7d9),
        f64::from_bits(0xbec38928c3a8647b),
        f64::from_bits(0xbec80a5c330c3926),
        f64::from_bits(0x3ebff3185e418775),
        f64::from_bits(0xbea1db638eabde42),
    ],
    [
        f64::from_bits(0x3fefffffc2f171e3),
        f64::from_bits(0x3ead9371e2ff78ea),
        f64::from_bits(0xbecbba3ac4d09ed2),
        f64::from_bits(0x3ee0b6a7b0f221fa),
        f64::from_bits(0xbeed06f585c2a5bd),
        f64::from_bits(0x3ef3436bc9db69c3),
        f64::from_bits(0xbef4357b62831002),
        f64::from_bits(0x3ef110de52a6041d),
        f64::from_bits(0xbee756673544446a),
        f64::from_bits(0x3ed99f5755d97558),
        f64::from_bits(0xbec5d84b70b92f4d),
        f64::from_bits(0x3eaa0739280d93a5),
        f64::from_bits(0xbe75af8c47b45226),
        f64::from_bits(0xbe7055c10f0fffef),
    ],
    [
        f64::from_bits(0x3fefffffff01a8b6),
        f64::from_bits(0x3e5155a09065d185),
        f64::from_bits(0xbe726afa9969d2e9),
        f64::from_bits(0x3e895ea6fe0098ca),
        f64::from_bits(0xbe996ba7370425f4),
        f64::from_bits(0x3ea3b468017919d7),
        f64::from_bits(0xbea8868e008fbb7f),
        f64::from_bits(0x3ea916e92c636062),
        f64::from_bits(0xbea566f53bee403c),
        f64::from_bits(0x3e9eab4bd2ea748d),
        f64::from_bits(0xbe9274999d1f2764),
        f64::from_bits(0x3e827dfc4b39e4ce),
        f64::from_bits(0xbe6e5c8e69d298f5),
        f64::from_bits(0x3e5245695243df29),
    ],
    [
        f64::from_bits(0x3feffffffffd759d),
        f64::from_bits(0x3de8a61745ed7a3c),
        f64::from_bits(0xbe0d453ba2b30ca6),
        f64::from_bits(0x3e26a8aeba26db67),
        f64::from_bits(0xbe39b017b6773d15),
        f64::from_bits(0x3e46b43c9a1d9fd4),
        f64::from_bits(0xbe5042f1a546fc26),
        f64::from_bits(0x3e535dc786fcb83e),
        f64::from_bits(0xbe53837c2cbcd97a),
        f64::from_bits(0x3e50d4e734c70598),
        f64::from_bits(0xbe49023bde664ca6),
        f64::from_bits(0x3e401aacd5e7feef),
        f64::from_bits(0xbe32b16fc4686227),
        f64::from_bits(0x3e21adb4c0d942fc),
    ],
    [
        f64::from_bits(0x3feffffffffffc05),
        f64::from_bits(0x3d75422ef5e1cb69),
        f64::from_bits(0xbd9be6dda0800c15),
        f64::from_bits(0x3db7f8a0f2b2ab51),
        f64::from_bits(0xbdce4cb4f4185f01),
        f64::from_bits(0x3dde044b6ca2dac3),
        f64::from_bits(0xbde83e9e3a3689a5),
        f64::from_bits(0x3df06592707ee0c1),
        f64::from_bits(0xbdf2ece91da565f4),
        f64::from_bits(0x3df2e3f532426a82),
        f64::from_bits(0xbdf06a8e1dff103b),
        f64::from_bits(0x3de93190f9096ec6),
        f64::from_bits(0xbde254bd28fcb020),
        f64::from_bits(0x3dd5cfccb5bf7a26),
    ],
    [
        f64::from_bits(0x3feffffffffffffc),
        f64::from_bits(0x3cf63daf8b86c6c6),
        f64::from_bits(0xbd1ff8ac4cc0d40c),
        f64::from_bits(0x3d3e2d06cf4cd377),
        f64::from_bits(0xbd5505da0ab90421),
        f64::from_bits(0x3d670b70a650dd51),
        f64::from_bits(0xbd74aec55c8ea8c7),
        f64::from_bits(0x3d7f3c4510392e98),
        f64::from_bits(0xbd843d98bd1217a6),
        f64::from_bits(0x3d86d2f63f8ae799),
        f64::from_bits(0xbd86815223463f08),
        f64::from_bits(0x3d83d56b6c3cfb7b),
        f64::from_bits(0xbd8146170d359387),
        f64::from_bits(0x3d78310394dad735),
    ],
];
/// The binary digits of 2 / pi, 32 a word, after two words of zeros.
pub const TWO_OVER_PI_DIGITS: [u32; 40] = [
    0x00000000,
    0x00000000,
    0xa2f9836e,
    0x4e441529,
    0xfc2757d1,
    0xf534ddc0,
    0xdb629599,
    0x3c439041,
    0xfe5163ab,
    0xdebbc561,
    0xb7246e3a,
    0x424dd2e0,
    0x06492eea,
    0x09d1921c,
    0xfe1deb1c,
    0xb129a73e,
    0xe88235f5,
    0x2ebb4484,
    0xe99c7026,
    0xb45f7e41,
    0x3991d639,
    0x835339f4,
    0x9c845f8b,
    0xbdf9283b,
    0x1ff897ff,
    0xde05980f,
    0xef2f118b,
    0x5a0a6d1f,
    0x6d367ecf,
    0x27cb09b7,
    0x4f463f66,
    0x9e5fea2d,
    0x7527bac7,
    0xebe5f17b,
    0x3d0739f7,
    0x8a5292ea,
    0x6bfb5fb1,
    0x1f8d5d08,
    0x56033046,
    0xfc7b6bab,
];
