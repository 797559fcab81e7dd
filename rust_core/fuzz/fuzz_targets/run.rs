//! Load and run: any bytes are refused, or are a model whose run ends in values or a typed error, within its limits.

#![no_main]

use std::time::Duration;

use bytes::Bytes;
use diptych_engine::graph::{Dim, Type};
use diptych_engine::session::{RunOptions, Session, SessionOptions, Source};
use diptych_engine::{DType, ErrorKind, Strings, Tensor, Value};
use libfuzzer_sys::{Corpus, fuzz_target};

const MEMORY: usize = 64 << 20;
const STEPS: u64 = 1000;
const TIME: Duration = Duration::from_secs(5);

/// What symbolic dimensions become.
const UNKNOWN: usize = 2;

/// Elements of all inputs together; more would only take time.
const ELEMENTS: usize = 1 << 16;

fuzz_target!(|data: &[u8]| -> Corpus {
    let options =
        SessionOptions { threads: 1, memory_limit: Some(MEMORY), max_steps: Some(STEPS), ..SessionOptions::default() };
    let session = match Session::new(Source::Bytes(Bytes::copy_from_slice(data)), options) {
        Ok(session) => session,
        Err(error) => return refused(&error),
    };
    let mut left = ELEMENTS;
    let ports = session.inputs();
    let feeds =
        ports.iter().map(|port| Some((port.name, feed(port.declared?, &mut left)?))).collect::<Option<Vec<_>>>();
    let Some(feeds) = feeds else { return Corpus::Keep };
    let limits = RunOptions { timeout: Some(TIME), cancel: None };
    match session.run(feeds, limits) {
        Ok(_) => Corpus::Keep,
        Err(error) => refused(&error),
    }
});

/// An internal error is a defect, whatever the input.
fn refused(error: &diptych_engine::Error) -> Corpus {
    assert!(error.kind() != ErrorKind::Internal, "{error}");
    Corpus::Keep
}

/// A tensor of the declared type: small numbers in turn (0, 1, 2, -1 for floats), letters for strings.
fn feed(declared: &Type, left: &mut usize) -> Option<Value> {
    let Type::Tensor { dtype, shape } = declared else { return None };
    let shape: Vec<usize> = shape.as_deref().unwrap_or_default().iter().map(extent).collect();
    let count = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n)).filter(|count| count <= left)?;
    *left -= count;
    if *dtype == DType::String {
        let data = (0..count).map(|i| ["", "a", "b c", "é"][i % 4].into()).collect();
        return Some(Value::Strings(Strings { shape: shape.into(), data }));
    }
    let mut tensor = Tensor::zeros(*dtype, &shape).ok()?;
    if let Ok(floats) = tensor.as_mut_slice::<f32>() {
        floats.iter_mut().enumerate().for_each(|(i, x)| *x = [0.0, 1.0, 2.0, -1.0][i % 4]);
    } else {
        let size = (dtype.bits() / 8).max(1);
        let values = tensor.bytes_mut().ok()?.chunks_mut(size).enumerate();
        let most = if *dtype == DType::Bool { 2 } else { 4 };
        values.for_each(|(i, value)| value[0] = (i % most) as u8);
    }
    Some(Value::Dense(tensor))
}

fn extent(dim: &Dim) -> usize {
    match dim {
        Dim::Known(n) => *n,
        Dim::Symbol(_) | Dim::Unknown => UNKNOWN,
    }
}
