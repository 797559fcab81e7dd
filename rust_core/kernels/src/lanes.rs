//! Lanes: the one place that knows instruction sets.
//!
//! A kernel is a small struct that implements [`Kernel`]: its fields are the arguments, its `run` is generic over
//! the instruction set `A` and the native number `L` of f32 lanes. [`dispatch`] enters a function compiled for
//! the chosen set and calls `run` there. Everything below `run` must be `#[inline(always)]`, so that it is
//! compiled with those target features; a closure or function that is not inlined would silently fall back to
//! baseline code, and a multiply-add there to a libm call.
//!
//! All sets give the same bits. The only operation that differs between them is the fused multiply-add, which the
//! baseline (SSE2, no FMA unit) computes in f64 lanes: see [`Arch::fma`].

pub use std::simd::prelude::*;
pub use std::simd::{Select, SimdElement, StdFloat, ToBytes};

/// An instruction set that a kernel can be run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Isa {
    /// What every CPU of the architecture has: SSE2 on x86-64. Multiply-add is emulated exactly.
    Baseline,
    /// AArch64 Advanced SIMD with FMA.
    Neon,
    /// x86-64 AVX2, FMA and F16C.
    Avx2,
    /// x86-64 AVX-512 F, BW, DQ and VL.
    Avx512,
    /// The same with VNNI: products of integers that add four bytes or two words in one instruction.
    Avx512Vnni,
}

impl Isa {
    /// Every instruction set this CPU can run, slowest first.
    pub fn available() -> &'static [Isa] {
        static FOUND: std::sync::OnceLock<Vec<Isa>> = std::sync::OnceLock::new();
        FOUND.get_or_init(|| {
            #[allow(unused_mut)]
            let mut found = vec![Isa::Baseline];
            #[cfg(target_arch = "x86_64")]
            {
                if is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
                {
                    found.push(Isa::Avx2);
                    if is_x86_feature_detected!("avx512f")
                        && is_x86_feature_detected!("avx512bw")
                        && is_x86_feature_detected!("avx512dq")
                        && is_x86_feature_detected!("avx512vl")
                    {
                        found.push(Isa::Avx512);
                        if is_x86_feature_detected!("avx512vnni") {
                            found.push(Isa::Avx512Vnni);
                        }
                    }
                }
            }
            #[cfg(target_arch = "aarch64")]
            found.push(Isa::Neon);
            #[cfg(diptych_one_isa)]
            found.retain(|isa| *isa >= Isa::Avx512);
            found
        })
    }

    /// The fastest instruction set of this CPU.
    pub fn best() -> Isa {
        *Isa::available().last().expect("baseline is always there")
    }

    /// Lower-case name, as `SessionOptions.isa` and `DIPTYCH_ISA` spell it.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Baseline => "baseline",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Avx512Vnni => "avx512vnni",
        }
    }

    /// The set of that name, whether or not this CPU has it.
    pub fn from_name(name: &str) -> Option<Isa> {
        [Isa::Baseline, Isa::Neon, Isa::Avx2, Isa::Avx512, Isa::Avx512Vnni].into_iter().find(|isa| isa.name() == name)
    }

    /// Native number of f32 lanes: the width that packed layouts are built for.
    pub fn lanes(self) -> usize {
        match self {
            Isa::Baseline | Isa::Neon => 4,
            Isa::Avx2 => 8,
            Isa::Avx512 | Isa::Avx512Vnni => 16,
        }
    }
}

/// What differs between instruction sets.
pub trait Arch: Copy + Send + Sync + 'static {
    const ISA: Isa;

    /// `a * b + c` rounded once, in every lane.
    fn fma<const N: usize>(a: Simd<f32, N>, b: Simd<f32, N>, c: Simd<f32, N>) -> Simd<f32, N>;
}

#[derive(Clone, Copy)]
pub struct Baseline;
#[derive(Clone, Copy)]
pub struct Neon;
#[derive(Clone, Copy)]
pub struct Avx2;
#[derive(Clone, Copy)]
pub struct Avx512;
#[derive(Clone, Copy)]
pub struct Avx512Vnni;

macro_rules! hardware_fma {
    ($($arch:ident),*) => {$(
        impl Arch for $arch {
            const ISA: Isa = Isa::$arch;
            #[inline(always)]
            fn fma<const N: usize>(a: Simd<f32, N>, b: Simd<f32, N>, c: Simd<f32, N>) -> Simd<f32, N> {
                a.mul_add(b, c)
            }
        }
    )*};
}
hardware_fma!(Neon, Avx2, Avx512, Avx512Vnni);

impl Arch for Baseline {
    const ISA: Isa = Isa::Baseline;

    // [panel: fma without the instruction]
    /// The product of two f32 is exact in f64. The sum `s` of product and addend is rounded to odd there (TwoSum gives the
    /// error `e`; where it is not zero and the last bit of `s` is even, `s` moves one unit towards `e`), so that
    /// the second rounding, to f32, is that of the exact value: Boldo and Melquiond, "Emulation of a FMA and
    /// correctly rounded sums", IEEE Trans. Computers 57(4), 2008.
    #[inline(always)]
    fn fma<const N: usize>(a: Simd<f32, N>, b: Simd<f32, N>, c: Simd<f32, N>) -> Simd<f32, N> {
        let p: Simd<f64, N> = a.cast::<f64>() * b.cast::<f64>();
        let c: Simd<f64, N> = c.cast();
        let s = p + c;
        let t = s - p;
        let e = (p - (s - t)) + (c - t);
        // Round to odd: where s is inexact, the neighbour of s towards zero if e points there, with the last bit set.
        let bits = s.to_bits();
        let towards_zero = (e.to_bits() ^ bits) >> Simd::splat(63);
        // An infinite or NaN s has a NaN e, which compares false: no move.
        let inexact = e.abs().simd_gt(Simd::splat(0.0));
        let odd = inexact.select((bits - towards_zero) | Simd::splat(1), bits);
        Simd::<f64, N>::from_bits(odd).cast()
    }
    // [/panel]
}

/// A piece of arithmetic that runs on any instruction set. The fields of the struct are its arguments.
pub trait Kernel {
    type Output;
    /// Whether it multiplies integers by instructions that one set has and another, otherwise the same, has not
    /// ([`Isa::Avx512Vnni`]). It is then compiled for both; other kernels run as for [`Isa::Avx512`] on either.
    const DOTS: bool = false;
    /// `L` is the native number of f32 lanes of `A`. Implementations are `#[inline(always)]`.
    fn run<A: Arch, const L: usize>(self) -> Self::Output;
}

/// Asks for the cache line at `p`, which may be any address, to be brought into the first cache.
#[inline(always)]
pub(crate) fn prefetch<T>(p: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults nowhere.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(p.cast())
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Runs `kernel` in code compiled for `isa`.
///
/// With `--cfg diptych_one_isa` only AVX-512 is compiled, for quick turns on a machine that has it.
///
/// # Panics
/// If this CPU does not have `isa`: sessions refuse it before a kernel is reached.
#[inline]
pub fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        #[cfg(not(diptych_one_isa))]
        Isa::Baseline => kernel.run::<Baseline, 4>(),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => kernel.run::<Neon, 4>(),
        #[cfg(all(target_arch = "x86_64", not(diptych_one_isa)))]
        Isa::Avx2 => {
            debug_assert!(Isa::available().contains(&isa));
            // SAFETY: sessions only accept an Isa from `Isa::available`, so this CPU has the features.
            unsafe { run_avx2(kernel) }
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Vnni => {
            debug_assert!(Isa::available().contains(&isa));
            if const { K::DOTS } && isa == Isa::Avx512Vnni {
                // SAFETY: as above.
                unsafe { run_avx512vnni(kernel) }
            } else {
                // SAFETY: as above; who has VNNI has the rest of AVX-512 that this asks for.
                unsafe { run_avx512(kernel) }
            }
        }
        #[allow(unreachable_patterns)]
        other => panic!("instruction set {} does not exist on this architecture", other.name()),
    }
}

#[cfg(all(target_arch = "x86_64", not(diptych_one_isa)))]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2, 8>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512, 16>()
}

/// For kernels with [`Kernel::DOTS`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx512vnni<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512Vnni, 16>()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fma<'a>(&'a [[f32; 3]], &'a mut [f32]);
    impl Kernel for Fma<'_> {
        type Output = ();
        #[inline(always)]
        fn run<A: Arch, const L: usize>(self) {
            for (args, out) in self.0.chunks(L).zip(self.1.chunks_mut(L)) {
                let lane =
                    |k: usize| Simd::<f32, L>::from_array(std::array::from_fn(|i| args.get(i).map_or(0.0, |a| a[k])));
                let r = A::fma(lane(0), lane(1), lane(2));
                out.copy_from_slice(&r.as_array()[..out.len()]);
            }
        }
    }

    #[test]
    fn fma_is_the_same_on_every_isa_and_correctly_rounded() {
        // Random bit patterns, plus products that fall next to an f32 midpoint, where double rounding shows.
        let mut state = 0x9e3779b97f4a7c15u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut args = Vec::new();
        for i in 0..200_000 {
            let (x, y) = (next(), next());
            let (a, b) = (f32::from_bits(x as u32), f32::from_bits((x >> 32) as u32));
            let c = match i % 4 {
                0 => f32::from_bits(y as u32),
                1 => -(a * b),
                2 => f32::from_bits((a * b).to_bits().wrapping_add((y % 60) as u32).wrapping_sub(30 << 23)),
                _ => f32::from_bits((a * b).to_bits().wrapping_add(((y % 60) as u32) << 23)),
            };
            args.push([a, b, c]);
        }
        for e in 0..2000u32 {
            let tiny = f32::from_bits(0x0080_0000 + e);
            args.push([tiny, f32::from_bits(0x3f00_0001 + e), f32::from_bits(e)]);
        }
        for &isa in Isa::available() {
            let mut out = vec![0.0; args.len()];
            dispatch(isa, Fma(&args, &mut out));
            for (arg, got) in args.iter().zip(&out) {
                let want = f32::mul_add(arg[0], arg[1], arg[2]);
                assert!(
                    got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()),
                    "{}: fma({:e}, {:e}, {:e}) = {got:e}, not {want:e}",
                    isa.name(),
                    arg[0],
                    arg[1],
                    arg[2]
                );
            }
        }
    }
}
