//! The reader alone: any bytes are a model or a typed error, after work bounded by their number.

#![no_main]

use bytes::Bytes;
use diptych_engine::memory::MemoryBudget;
use diptych_engine::onnx::read_bytes;
use libfuzzer_sys::fuzz_target;

/// Bytes that a model of a few kilobytes may take.
const MEMORY: usize = 64 << 20;

fuzz_target!(|data: &[u8]| {
    let budget = MemoryBudget::new(Some(MEMORY));
    let _charged = budget.enter();
    let _ = read_bytes(Bytes::copy_from_slice(data), None);
});
