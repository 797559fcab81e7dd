//! DynamicQuantizeLSTM of com.microsoft: an LSTM whose products are of 8-bit integers, quantized as they come.
//!
//! X is quantized as a whole, as far as the longest sequence goes; the hidden values anew at every step, those of all sequences
//! that still run together. So a direction is one chunk of work, and rows of the batch depend on each other.

use std::sync::Arc;

use diptych_kernels::Isa;
use diptych_kernels::gemm::{MatMut, MatRef};
use diptych_kernels::qgemm::{
    ByteGemm, Bytes, PackedBytes, ZeroPoint, byte_scratch_len, gemm_bytes, pack_bytes, packed_bytes_len,
};
use diptych_kernels::quantize::{
    Numbers, Place, Precision, Quantization, Quantized, dynamic_parameters, quantize, range_with_zero,
};
use diptych_kernels::recurrent::{Activation, Gates, Lstm, scale_products};

use super::{Extents, Kind, Recurrent, build, input};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows_of};
use crate::ops::elements::{buffer_bytes, elements, elements_mut, rooms, rooms_bytes};
use crate::ops::matmul::pack_params;
use crate::run::{Disjoint, KernelCx};
use crate::tensor::{AlignedBytes, element_count};

/// Inputs beside those of LSTM.
const SCALE: [usize; 2] = [8, 10];
const ZERO: [usize; 2] = [9, 11];
/// Rows of X that one chunk multiplies.
const ROWS: usize = 96;

struct DynamicQuantizeLstm {
    layer: Recurrent,
    input_forget: bool,
}

/// W or R: `[D, k, 4H]` of bytes, with scales and zero points `[D]` or `[D, 4H]`.
struct Weights {
    /// 0 for W, 1 for R.
    which: usize,
    k: usize,
    n: usize,
    signed: bool,
    /// i32s of one packed direction.
    len: usize,
    constant: Option<Arc<AlignedBytes>>,
    /// Scales, and zero points, of a direction.
    scales: usize,
    zeros: usize,
}

impl Weights {
    fn new(cx: &PlanCx<'_>, which: usize, extents: &Extents) -> Result<Weights> {
        let Extents { directions, gates: n, .. } = *extents;
        let k = if which == 0 { extents.input } else { extents.hidden };
        let place = [input::W, input::R][which];
        let per_direction = |input: usize| match cx.shape(input)? {
            [d] if *d == directions => Ok(1),
            [d, columns] if *d == directions && *columns == n => Ok(n),
            other => Err(Error::shape(format!(
                "input {input} has shape {other:?}, expected [{directions}] or [{directions}, {n}]"
            ))),
        };
        let (scales, zeros) = (per_direction(SCALE[which])?, per_direction(ZERO[which])?);
        let signed = cx.dtype(place)? == DType::I8;
        let len =
            packed_bytes_len(cx.isa, k, n).ok_or_else(|| Error::resource_limit("a matrix is too large to pack"))?;
        let mut weights = Weights { which, k, n, signed, len, constant: None, scales, zeros };
        if let (Some((id, tensor)), Some(params)) = (cx.weight(place), pack_params(cx.isa, k, n))
            && len > 0
        {
            let bytes = buffer_bytes::<i32>(&[directions, len])?;
            weights.constant = Some(cx.packed.get_or_pack_bytes((id, "recurrent_bytes", params), bytes, |packed| {
                weights.pack(cx.isa, tensor.bytes(), elements_mut(packed));
                Ok(())
            })?);
        }
        Ok(weights)
    }

    /// Packs all directions.
    fn pack(&self, isa: Isa, values: &[u8], packed: &mut [i32]) {
        let (k, n) = (self.k, self.n);
        for (values, packed) in values.chunks_exact((k * n).max(1)).zip(packed.chunks_exact_mut(self.len.max(1))) {
            pack_bytes(isa, &Bytes { values: MatRef::row_major(values, k, n), signed: self.signed }, packed);
        }
    }

    /// Bytes of workspace for what is packed at run time.
    fn room(&self, directions: usize) -> Result<usize> {
        if self.constant.is_some() { Ok(0) } else { buffer_bytes::<i32>(&[directions, self.len]) }
    }
}

/// W or R while the step runs.
struct Operand<'a> {
    weights: &'a Weights,
    packed: &'a [i32],
    scales: &'a [f32],
    zeros: &'a [u8],
}

/// Numbers as bytes: `rows` rows of `k`, and their scale and zero point.
struct Levels<'a> {
    values: &'a [u8],
    rows: usize,
    scale: f32,
    zero_point: u8,
}

impl<'a> Operand<'a> {
    fn new(cx: &KernelCx<'a>, weights: &'a Weights, room: &'a mut [u8]) -> Operand<'a> {
        let packed = match &weights.constant {
            Some(constant) => elements(constant.as_slice()),
            None => {
                let packed = elements_mut::<i32>(room);
                weights.pack(cx.isa(), cx.input_bytes([input::W, input::R][weights.which]), packed);
                &*packed
            }
        };
        let (scales, zeros) = (cx.input::<f32>(SCALE[weights.which]), cx.input_bytes(ZERO[weights.which]));
        Operand { weights, packed, scales, zeros }
    }

    /// The products of some rows of `x` with one direction, `[rows][4H]`, scaled and written to `out` or added to it.
    fn multiply(
        &self,
        isa: Isa,
        direction: usize,
        x: &Levels<'_>,
        add: bool,
        (sums, out): (&mut [i32], &mut [f32]),
        scratch: &mut [i32],
    ) {
        let Weights { k, n, len, signed, scales, zeros, .. } = *self.weights;
        let zeros = &self.zeros[direction * zeros..][..zeros];
        let g = ByteGemm {
            a: Bytes { values: MatRef::row_major(x.values, x.rows, k), signed: false },
            b: PackedBytes::from_packed(isa, &self.packed[direction * len..], k, n, signed),
            a_zero: ZeroPoint::Scalar(x.zero_point),
            b_zero: if let [zero] = zeros { ZeroPoint::Scalar(*zero) } else { ZeroPoint::PerChannel(zeros) },
        };
        let mut c = MatMut::new(&mut *sums, x.rows, n, n);
        gemm_bytes(isa, &g, 0..x.rows, 0..n, c.block(0..x.rows, 0..n), scratch);
        scale_products(isa, sums, (x.scale, &self.scales[direction * scales..][..scales]), add, out);
    }
}

/// `x` as bytes with that scale and zero point, from its element `first` on.
fn to_levels(isa: Isa, x: &[f32], first: usize, (scale, zero_point): (f32, u8), out: &mut [u8]) {
    let (scales, zero_points) = ([scale], [zero_point]);
    let operands = Quantization {
        x: Numbers::F32(x),
        scale: Numbers::F32(&scales),
        zero_point: Some(Quantized::U8(&zero_points)),
        precision: Precision::F32,
    };
    quantize(isa, &operands, first, Place { offset: 0, each: false }, (0, 255), out);
}

/// What does not change from run to run.
struct Plan {
    extents: Extents,
    functions: Vec<Activation<f32>>,
    clip: Option<f32>,
    reverse: bool,
    input_forget: bool,
    w: Weights,
    r: Weights,
}

/// What one direction works in: its part of the rooms.
struct Room<'a> {
    chains: &'a mut [f32],
    h: &'a mut [f32],
    c: &'a mut [f32],
    levels: &'a mut [u8],
    sums: &'a mut [i32],
    products: &'a mut [f32],
}

impl Operator for DynamicQuantizeLstm {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let extents = self.layer.extents(cx, true)?;
        let Extents { steps, batch, input, hidden, gates, directions, .. } = extents;
        let (w, r) = (Weights::new(cx, 0, &extents)?, Weights::new(cx, 1, &extents)?);
        let packed: Vec<usize> =
            [&w, &r].into_iter().filter(|w| w.constant.is_some()).map(|w| [input::W, input::R][w.which]).collect();
        let tall = element_count(&[steps, batch])?;
        let operations =
            [tall, gates, input + hidden, directions, 2].iter().fold(1u64, |n, &f| n.saturating_mul(f as u64));
        let cost = (operations / 150).saturating_add((tall * directions * hidden) as u64 * 10).saturating_add(500);
        // X as bytes, sums and chains over the inputs; h, c, h as bytes, sums and products of a step; W and R packed now.
        let sizes = [
            buffer_bytes::<u8>(&[tall, input])?,
            buffer_bytes::<i32>(&[directions, tall, gates])?,
            buffer_bytes::<f32>(&[directions, tall, gates])?,
            buffer_bytes::<f32>(&[2, directions, batch, hidden])?,
            buffer_bytes::<u8>(&[directions, batch, hidden])?,
            buffer_bytes::<i32>(&[directions, batch, gates])?,
            buffer_bytes::<f32>(&[directions, batch, gates])?,
            buffer_bytes::<f32>(&[directions, gates])?,
            w.room(directions)?,
            r.room(directions)?,
        ];
        let scratch = byte_scratch_len(cx.isa, ROWS.min(tall), input).max(byte_scratch_len(cx.isa, batch, hidden));
        let plan = Plan {
            extents,
            functions: self.layer.functions.clone(),
            clip: self.layer.clip,
            reverse: self.layer.reverse,
            input_forget: self.input_forget,
            w,
            r,
        };
        let (y, state) = (extents.y_shape(), extents.state_shape());
        let outputs = [y, state.clone(), state].map(|shape| OutputType::new(DType::F32, shape));
        KernelStep::with_outputs(outputs, move |cx| {
            if batch * hidden == 0 {
                return Ok(());
            }
            plan.run(cx, rooms(cx.workspace(), sizes))
        })
        .packed(&packed)
        .workspace(rooms_bytes(&sizes)?)
        .scratch(buffer_bytes::<i32>(&[scratch])?)
        .cost(cost)
        .into()
    }
}

impl Plan {
    fn run(&self, cx: &KernelCx<'_>, rooms: [&mut [u8]; 10]) -> Result<()> {
        let [x_levels, sums, chains, states, levels, step_sums, products, bias, w_room, r_room] = rooms;
        let Extents { steps, batch, input, hidden, gates, directions, .. } = self.extents;
        let lengths = cx.opt_input::<i32>(input::SEQUENCE_LENS);
        if let Some(wrong) = lengths.and_then(|all| all.iter().find(|&&n| n < 0 || n as usize > steps)) {
            return Err(Error::shape(format!("sequence_lens has {wrong}, expected values in 0 .. {steps}")));
        }
        let longest = lengths.map_or(steps, |all| all.iter().copied().max().unwrap_or(0) as usize);
        let isa = cx.isa();
        let (w, r) = (Operand::new(cx, &self.w, w_room), Operand::new(cx, &self.r, r_room));
        let bias = self.bias(cx, elements_mut(bias));
        let x = &cx.input::<f32>(input::X)[..longest * batch * input];
        let (scale, zero_point) = dynamic_parameters(range_with_zero(isa, x));
        let x_levels = &mut x_levels[..x.len()];
        cx.parallel_rows(&mut *x_levels, 1, 1 << 14, |first, out, _| {
            to_levels(isa, x, first, (scale, zero_point), out)
        })?;
        let tall = longest * batch;
        let (sums, chains) = (elements_mut::<i32>(sums), elements_mut::<f32>(chains));
        let (shared_sums, shared_chains) = (Disjoint::new(sums), Disjoint::new(&mut *chains));
        let blocks = tall.div_ceil(ROWS);
        cx.parallel(directions * blocks, |task, scratch| {
            let (direction, first) = (task / blocks, task % blocks * ROWS);
            let rows = first..(first + ROWS).min(tall);
            let values = &x_levels[rows.start * input..rows.end * input];
            let at = direction * steps * batch;
            let place = (at + rows.start) * gates..(at + rows.end) * gates;
            // SAFETY: every task has its own rows.
            let out = unsafe { (shared_sums.range(place.clone()), shared_chains.range(place)) };
            let x = Levels { values, rows: rows.len(), scale, zero_point };
            w.multiply(isa, direction, &x, false, out, elements_mut(scratch));
        })?;
        let (h, c) = elements_mut::<f32>(states).split_at_mut(directions * batch * hidden);
        self.initialize(cx.opt_input(input::INITIAL_H), h);
        self.initialize(cx.opt_input(input::INITIAL_C), c);
        let (chains, h, c, levels) = (Disjoint::new(chains), Disjoint::new(h), Disjoint::new(c), Disjoint::new(levels));
        let (sums, products) = (Disjoint::new(elements_mut(step_sums)), Disjoint::new(elements_mut(products)));
        let outputs = [0, 1, 2].map(|output| cx.opt_output::<f32>(output).map(Disjoint::new));
        let peephole = cx.opt_input::<f32>(input::P);
        cx.parallel(directions, |direction, scratch| {
            let part = |len: usize| direction * len..(direction + 1) * len;
            // SAFETY: every direction has its own part.
            let room = unsafe {
                Room {
                    chains: chains.range(part(steps * batch * gates)),
                    h: h.range(part(batch * hidden)),
                    c: c.range(part(batch * hidden)),
                    levels: levels.range(part(batch * hidden)),
                    sums: sums.range(part(batch * gates)),
                    products: products.range(part(batch * gates)),
                }
            };
            let cell = self.cell(direction, bias, peephole);
            self.sequence(isa, direction, &cell, &r, lengths, room, &outputs, elements_mut(scratch));
        })
    }

    /// `rn(Wb + Rb)` of every direction.
    fn bias<'a>(&self, cx: &KernelCx<'_>, to: &'a mut [f32]) -> Option<&'a [f32]> {
        let gates = self.extents.gates;
        let given = cx.opt_input::<f32>(input::B)?;
        for (to, given) in to.chunks_exact_mut(gates).zip(given.chunks_exact(2 * gates)) {
            let (w, r) = given.split_at(gates);
            to.iter_mut().zip(w.iter().zip(r)).for_each(|(to, (w, r))| *to = w + r);
        }
        Some(to)
    }

    fn initialize(&self, given: Option<&[f32]>, to: &mut [f32]) {
        match given {
            Some(given) => to.copy_from_slice(given),
            None => to.fill(0.0),
        }
    }

    fn cell<'a>(&self, direction: usize, bias: Option<&'a [f32]>, peephole: Option<&'a [f32]>) -> Lstm<'a, f32> {
        let Extents { hidden, gates, .. } = self.extents;
        let functions = &self.functions[3 * direction..][..3];
        Lstm {
            gates: Gates { bias: bias.map(|bias| &bias[direction * gates..][..gates]), clip: self.clip, hidden },
            peephole: peephole.map(|peephole| &peephole[direction * 3 * hidden..][..3 * hidden]),
            functions: [functions[0], functions[1], functions[2]],
            input_forget: self.input_forget,
        }
    }

    /// Takes one direction through all steps.
    #[allow(clippy::too_many_arguments)] // what the directions share, and what one has for itself
    fn sequence(
        &self,
        isa: Isa,
        direction: usize,
        cell: &Lstm<'_, f32>,
        r: &Operand<'_>,
        lengths: Option<&[i32]>,
        room: Room<'_>,
        outputs: &[Option<Disjoint<'_, f32>>; 3],
        scratch: &mut [i32],
    ) {
        let Extents { steps, batch, hidden, gates, .. } = self.extents;
        let length = |row: usize| lengths.map_or(steps, |lengths| lengths[row] as usize);
        let backwards = self.reverse || direction == 1;
        let Room { chains, h, c, levels, sums, products } = room;
        let store = |output: usize, at: usize, values: &[f32]| {
            if let Some(output) = &outputs[output] {
                // SAFETY: every direction has its own rows of the outputs.
                unsafe { output.range(at..at + values.len()) }.copy_from_slice(values);
            }
        };
        for t in 0..(0..batch).map(length).max().unwrap_or(0) {
            let running = || (0..batch).filter(|&row| t < length(row));
            let ends = running().map(|row| range_with_zero(isa, &h[row * hidden..][..hidden]));
            let range = ends.reduce(|(low, high), (l, h)| (lesser(low, l), greater(high, h))).unwrap_or((0.0, 0.0));
            let (scale, zero_point) = dynamic_parameters(range);
            for (row, levels) in running().zip(levels.chunks_exact_mut(hidden)) {
                to_levels(isa, &h[row * hidden..][..hidden], 0, (scale, zero_point), levels);
            }
            let rows = running().count();
            let x = Levels { values: &levels[..rows * hidden], rows, scale, zero_point };
            let out = (&mut sums[..rows * gates], &mut products[..rows * gates]);
            r.multiply(isa, direction, &x, false, out, scratch);
            for (row, products) in running().zip(products.chunks_exact(gates)) {
                let place = if backwards { length(row) - 1 - t } else { t };
                let chains = &mut chains[(place * batch + row) * gates..][..gates];
                chains.iter_mut().zip(products).for_each(|(chain, product)| *chain += product);
                let state = row * hidden..(row + 1) * hidden;
                cell.step(isa, chains, &mut c[state.clone()], &mut h[state.clone()]);
                store(0, self.extents.y(place, direction, row), &h[state]);
            }
        }
        for row in 0..batch {
            for step in length(row)..steps {
                if let Some(y) = &outputs[0] {
                    let at = self.extents.y(step, direction, row);
                    // SAFETY: as in `store`.
                    unsafe { y.range(at..at + hidden) }.fill(0.0);
                }
            }
            let at = self.extents.state(direction, row);
            store(1, at, &h[row * hidden..][..hidden]);
            store(2, at, &c[row * hidden..][..hidden]);
        }
    }
}

/// The lesser of two ends of ranges, or NaN if one is.
fn lesser(a: f32, b: f32) -> f32 {
    if a < b || a.is_nan() { a } else { b }
}

/// The greater of two ends of ranges, or NaN if one is.
fn greater(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

fn build_quantized(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let input_forget = cx.int("input_forget", 0)? != 0;
    Ok(Box::new(DynamicQuantizeLstm { layer: build(cx, Kind::Lstm { input_forget })?, input_forget }))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    rows_of("com.microsoft", "DynamicQuantizeLSTM", &[1], build_quantized)
}
