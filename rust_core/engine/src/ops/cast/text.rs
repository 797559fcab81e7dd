//! Numbers as text and back.

use std::fmt::{Display, LowerExp};
use std::str::FromStr;
use std::sync::Arc;

use diptych_kernels::Isa;
use diptych_kernels::cast::cast;
use half::f16;

use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::ops::cast::cast_tensor;
use crate::tensor::{Strings, Tensor};
use crate::with_dtype;

/// The shortest decimals that read back as the same numbers; NaN, INF, -INF; 1 and 0 for bool.
pub fn spell(isa: Isa, tensor: &Tensor) -> Result<Strings> {
    let data: Arc<[Arc<str>]> = match tensor.dtype() {
        DType::F32 => floats::<f32>(tensor, |x| spelled(f64::from(x), || nearest(x, format!("{x:e}"))))?,
        DType::F64 => floats::<f64>(tensor, |x| spelled(x, || nearest(x, format!("{x:e}"))))?,
        DType::F16 => floats::<f16>(tensor, |x| spelled(x.to_f64(), || shortest_f16(x)))?,
        DType::BF16 => return spell(isa, &cast_tensor(isa, tensor, DType::F32)?),
        DType::U64 => integers::<u64>(tensor)?,
        _ => integers::<i64>(&cast_tensor(isa, tensor, DType::I64)?)?,
    };
    Ok(Strings { shape: tensor.shape().into(), data })
}

fn floats<T: Element>(tensor: &Tensor, spell: impl Fn(T) -> String) -> Result<Arc<[Arc<str>]>> {
    let tensor = tensor.aligned()?;
    Ok(tensor.as_slice::<T>()?.iter().map(|&x| spell(x).into()).collect())
}

fn integers<T: Element + Display>(tensor: &Tensor) -> Result<Arc<[Arc<str>]>> {
    let tensor = tensor.aligned()?;
    Ok(tensor.as_slice::<T>()?.iter().map(|x| x.to_string().into()).collect())
}

/// Of the decimals as long as `shortest`, which reads back as `x`, the nearest to `x`, ties to even, if it reads back.
fn nearest<T: LowerExp + FromStr + PartialEq>(x: T, shortest: String) -> String {
    let mantissa = shortest.split('e').next().unwrap_or_default();
    let places = mantissa.bytes().filter(u8::is_ascii_digit).count().saturating_sub(1);
    let rounded = format!("{x:.places$e}");
    if rounded.parse::<T>().is_ok_and(|read| read == x) { rounded } else { shortest }
}

/// The least digits that read back as `x`, as `{:e}` gives them, which the type itself lacks.
fn shortest_f16(x: f16) -> String {
    let wide = x.to_f64();
    let reads_back = |text: &String| text.parse::<f64>().is_ok_and(|read| rounded_once(read) == x);
    let of_length = |places: usize| {
        let rounded = format!("{wide:.places$e}");
        // Above a power of two the next decimal away from zero may read back where the nearest, below it, does not.
        let next = |text: &str| {
            let (mantissa, exponent) = text.split_once('e')?;
            let (digits, exponent) = (mantissa.replace('.', "").parse::<i64>().ok()?, exponent.parse::<i64>().ok()?);
            Some(format!("{}e{}", digits + digits.signum(), exponent - places as i64))
        };
        let candidates = [next(&rounded), Some(rounded)];
        let found = candidates.into_iter().rev().flatten().find(reads_back)?;
        Some(format!("{:.places$e}", found.parse::<f64>().ok()?))
    };
    (0..5).find_map(of_length).unwrap_or_else(|| format!("{wide:e}"))
}

/// `x` in binary16, rounded once (`f16::from_f64` drops bits before it rounds).
fn rounded_once(x: f64) -> f16 {
    let mut half = [f16::ZERO];
    cast(Isa::best(), &[x], &mut half);
    half[0]
}

/// `x` in digits: in place from 1e-4 to below 1e16, else with an exponent of two digits or more.
/// `shortest` gives the digits, as `{:e}` does.
fn spelled(x: f64, shortest: impl Fn() -> String) -> String {
    if x.is_nan() {
        return "NaN".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "INF".into() } else { "-INF".into() };
    }
    let text = shortest();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    if x != 0.0 && !(1e-4..1e16).contains(&x.abs()) {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{exponent_sign}{:02}", exponent.abs());
    }
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    let (before, after) = digits.split_at(whole.min(digits.len()));
    let zeros = "0".repeat(whole - before.len());
    format!("{sign}{before}{zeros}.{}", if after.is_empty() { "0" } else { after })
}

/// Decimal numbers, inf, infinity and nan, each as the nearest binary64.
pub fn parse_f64(strings: &Strings) -> Result<Tensor> {
    let values: Vec<f64> = strings.data.iter().map(|text| parsed(text, "number")).collect::<Result<_>>()?;
    Tensor::from_slice(&strings.shape, &values)
}

/// Decimal integers, which must fit.
pub fn parse_integers(strings: &Strings, to: DType) -> Result<Tensor> {
    let values: Vec<i128> = strings.data.iter().map(|text| parsed(text, "integer")).collect::<Result<_>>()?;
    fn fitting<T: Element + TryFrom<i128>>(values: &[i128], shape: &[usize]) -> Result<Tensor> {
        let fit = |&value: &i128| {
            T::try_from(value).map_err(|_| Error::invalid_input(format!("{value} does not fit {}", T::DTYPE)))
        };
        Tensor::from_slice(shape, &values.iter().map(fit).collect::<Result<Vec<T>>>()?)
    }
    with_dtype!(to, T in [I8, I16, I32, I64, U8, U16, U32, U64] => fitting::<T>(&values, &strings.shape),
        else Err(Error::internal(format!("{to} is no integer type"))))
}

fn parsed<T: FromStr>(text: &str, what: &str) -> Result<T> {
    // Python's strip also takes the four separators of ASCII for space.
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c));
    trimmed.parse().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        Error::invalid_input(format!("'{shown}' is no {what}, or too great a one"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f64_text(x: f64) -> String {
        spelled(x, || nearest(x, format!("{x:e}")))
    }

    #[allow(clippy::excessive_precision)] // numbers halfway between two texts
    #[test]
    fn numbers_are_spelled_with_the_least_digits() {
        for (x, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (-1234.5, "-1234.5"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012345"),
            (0.00001, "1e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-INF"),
        ] {
            assert_eq!(f64_text(x), text);
        }
        let half = |x: f32| spelled(x.into(), || shortest_f16(f16::from_f32(x)));
        assert_eq!((half(65504.0), half(0.1), half(1.0)), ("65500.0".into(), "0.1".into(), "1.0".into()));
        // 2^-6: the nearest decimal of four digits, 0.01562, lies beyond the halfway point to the number below.
        assert_eq!(half(0.015625), "0.01563");
        let single = |x: f32| spelled(x.into(), || nearest(x, format!("{x:e}")));
        assert_eq!((single(3301725.25), single(0.18945312)), ("3301725.2".into(), "0.18945312".into()));
    }
}
