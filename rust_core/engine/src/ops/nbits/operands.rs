//! The right operand of MatMulNBits: codes, scales, zero points and groups, packed ahead where they are constant.

use std::sync::Arc;

use diptych_kernels::Isa;
use diptych_kernels::nbits::{Extents, Weights, pack_by_block, pack_codes, panel_columns};
use half::{bf16, f16};

use super::code;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::PlanCx;
use crate::ops::elements::{buffer_bytes, elements, elements_mut};
use crate::ops::matmul::pack_params;
use crate::run::{Disjoint, KernelCx};
use crate::tensor::{AlignedBytes, element_count};

/// Inputs by position.
pub(super) mod input {
    pub const A: usize = 0;
    pub const B: usize = 1;
    pub const SCALES: usize = 2;
    pub const ZERO_POINTS: usize = 3;
    pub const G_IDX: usize = 4;
    pub const BIAS: usize = 5;
}

/// Numbers of one of the types of A.
#[derive(Clone, Copy)]
enum Numbers<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    BF16(&'a [bf16]),
}

impl<'a> Numbers<'a> {
    fn new(dtype: DType, bytes: &'a [u8]) -> Numbers<'a> {
        match dtype {
            DType::F16 => Numbers::F16(elements(bytes)),
            DType::BF16 => Numbers::BF16(elements(bytes)),
            _ => Numbers::F32(elements(bytes)),
        }
    }

    fn at(&self, i: usize) -> f32 {
        match self {
            Numbers::F32(all) => all[i],
            Numbers::F16(all) => all[i].to_f32(),
            Numbers::BF16(all) => all[i].to_f32(),
        }
    }
}

/// What an operand is packed from.
#[derive(Clone, Copy)]
enum Form {
    Codes,
    /// Numbers of this type, one a block.
    Numbers(DType),
    /// Integers of `bits` bits, one a block, each column's bytes by themselves.
    Integers,
}

/// One input in its packed form.
struct Operand {
    input: usize,
    form: Form,
    /// Rows of a panel.
    rows: usize,
    /// Bytes of the packed form.
    bytes: usize,
    constant: Option<Arc<AlignedBytes>>,
}

impl Operand {
    fn new(cx: &PlanCx<'_>, extents: &Extents, input: usize, form: Form) -> Result<Operand> {
        let too_large = || Error::resource_limit("a matrix is too large to pack");
        let (rows, len) = match form {
            Form::Codes => (extents.words(), extents.packed_codes(cx.isa)),
            _ => (extents.blocks(), extents.packed_by_block(cx.isa)),
        };
        let bytes = buffer_bytes::<i32>(&[len.ok_or_else(too_large)?])?;
        let mut operand = Operand { input, form, rows, bytes, constant: None };
        if let (Some((id, tensor)), Some(params)) = (cx.weight(input), pack_params(cx.isa, rows, extents.n)) {
            let packed = cx.packed.get_or_pack_bytes((id, operand.name(extents), params), bytes, |packed| {
                let tensor = tensor.aligned()?;
                let panel = operand.panel_bytes(cx.isa);
                for (index, packed) in packed.chunks_mut(panel).enumerate() {
                    operand.pack(cx.isa, extents, tensor.bytes(), index, packed);
                }
                Ok(())
            })?;
            operand.constant = Some(packed);
        }
        Ok(operand)
    }

    /// The form's name among packed weights.
    fn name(&self, extents: &Extents) -> &'static str {
        match (self.form, extents.bits) {
            (Form::Codes, _) => "nbits_codes",
            (Form::Numbers(_), _) => "nbits_numbers",
            (Form::Integers, 2) => "nbits_integers_2",
            (Form::Integers, 4) => "nbits_integers_4",
            (Form::Integers, _) => "nbits_integers_8",
        }
    }

    /// Bytes of a full panel.
    fn panel_bytes(&self, isa: Isa) -> usize {
        (panel_columns(isa) * self.rows * 4).max(1)
    }

    /// Packs panel `index` of the input's bytes.
    fn pack(&self, isa: Isa, extents: &Extents, bytes: &[u8], index: usize, packed: &mut [u8]) {
        let (j, blocks, bits) = (index * panel_columns(isa), extents.blocks(), extents.bits);
        match self.form {
            Form::Codes => pack_codes(isa, extents, bytes, j, elements_mut(packed)),
            Form::Numbers(dtype) => {
                let numbers = Numbers::new(dtype, bytes);
                pack_by_block(isa, extents, |n, block| numbers.at(n * blocks + block), j, elements_mut(packed));
            }
            Form::Integers => {
                let column = (blocks * bits).div_ceil(8);
                let at = |n: usize, block| f32::from(code(&bytes[n * column..], bits, block));
                pack_by_block(isa, extents, at, j, elements_mut(packed));
            }
        }
    }

    /// The packed form, made now in `room` if it is not constant.
    fn packed<'a>(&'a self, cx: &KernelCx<'a>, extents: &Extents, room: &'a mut [u8]) -> Result<&'a [u8]> {
        if let Some(constant) = &self.constant {
            return Ok(constant.as_slice());
        }
        let (isa, bytes, panel) = (cx.isa(), cx.input_bytes(self.input), self.panel_bytes(cx.isa()));
        let len = room.len();
        let shared = Disjoint::new(&mut *room);
        cx.parallel(len.div_ceil(panel), |index, _| {
            // SAFETY: every panel has its own range.
            let to = unsafe { shared.range(index * panel..len.min((index + 1) * panel)) };
            self.pack(isa, extents, bytes, index, to);
        })?;
        Ok(room)
    }
}

/// The right operand.
pub(super) struct Right {
    pub extents: Extents,
    codes: Operand,
    scales: Operand,
    zeros: Option<Operand>,
    grouped: bool,
}

impl Right {
    /// The inputs, checked.
    pub fn new(cx: &PlanCx<'_>, extents: Extents) -> Result<Right> {
        let (n, blocks) = (extents.n, extents.blocks());
        let a = cx.dtype(input::A)?;
        check_by_block(cx, input::SCALES, n, blocks)?;
        let zeros = match cx.has(input::ZERO_POINTS) {
            false => None,
            true => Some(zero_points(cx, &extents, a)?),
        };
        if cx.has(input::G_IDX) {
            let shape = cx.shape(input::G_IDX)?;
            if *shape != [extents.k] && *shape != [blocks * extents.block] {
                let message = format!("g_idx has shape {shape:?}, expected [{}] or that of whole blocks", extents.k);
                return Err(Error::shape(message));
            }
        }
        Ok(Right {
            extents,
            codes: Operand::new(cx, &extents, input::B, Form::Codes)?,
            scales: Operand::new(cx, &extents, input::SCALES, Form::Numbers(a))?,
            zeros: zeros.map(|form| Operand::new(cx, &extents, input::ZERO_POINTS, form)).transpose()?,
            grouped: cx.has(input::G_IDX),
        })
    }

    /// Whether zero points are integers and blocks in order, as quantized products want it.
    pub fn is_plain(&self) -> bool {
        !self.grouped && self.zeros.as_ref().is_none_or(|zeros| matches!(zeros.form, Form::Integers))
    }

    pub fn is_grouped(&self) -> bool {
        self.grouped
    }

    fn operands(&self) -> impl Iterator<Item = &Operand> {
        [Some(&self.codes), Some(&self.scales), self.zeros.as_ref()].into_iter().flatten()
    }

    /// Inputs that are not read at run time.
    pub fn constant_inputs(&self) -> Vec<usize> {
        self.operands().filter(|operand| operand.constant.is_some()).map(|operand| operand.input).collect()
    }

    /// Bytes of the rooms that [`Right::weights`] needs.
    pub fn rooms(&self) -> [usize; 3] {
        let room = |operand: &Operand| if operand.constant.is_some() { 0 } else { operand.bytes };
        [room(&self.codes), room(&self.scales), self.zeros.as_ref().map_or(0, room)]
    }

    /// The packed operand of a run.
    pub fn weights<'a>(&'a self, cx: &KernelCx<'a>, rooms: [&'a mut [u8]; 3]) -> Result<Weights<'a>> {
        let [codes, scales, zeros] = rooms;
        let groups = if self.grouped { Some(cx.input::<i32>(input::G_IDX)) } else { None };
        let blocks = self.extents.blocks();
        if let Some(wrong) = groups.and_then(|all| all.iter().find(|&&g| g < 0 || g as usize >= blocks)) {
            return Err(Error::invalid_input(format!("g_idx has {wrong}, expected 0 to {}", blocks - 1)));
        }
        let zeros = match &self.zeros {
            Some(operand) => Some(elements::<f32>(operand.packed(cx, &self.extents, zeros)?)),
            None => None,
        };
        let codes = elements::<i32>(self.codes.packed(cx, &self.extents, codes)?);
        let scales = elements::<f32>(self.scales.packed(cx, &self.extents, scales)?);
        Ok(Weights::new(cx.isa(), self.extents, codes, scales, zeros, groups))
    }
}

/// An input is [n, columns], or flat.
fn check_by_block(cx: &PlanCx<'_>, which: usize, n: usize, columns: usize) -> Result<()> {
    let shape = cx.shape(which)?;
    if *shape != [n, columns] && *shape != [element_count(&[n, columns])?] {
        return Err(Error::shape(format!(
            "input {which} has shape {shape:?}, expected [{n}, {columns}], or that flat"
        )));
    }
    Ok(())
}

fn zero_points(cx: &PlanCx<'_>, extents: &Extents, a: DType) -> Result<Form> {
    let dtype = cx.dtype(input::ZERO_POINTS)?;
    let blocks = extents.blocks();
    if dtype == DType::U8 {
        check_by_block(cx, input::ZERO_POINTS, extents.n, (blocks * extents.bits).div_ceil(8))?;
        return Ok(Form::Integers);
    }
    if dtype != a {
        return Err(Error::invalid_input(format!("zero_points is {dtype}, expected uint8 or A's type, {a}")));
    }
    check_by_block(cx, input::ZERO_POINTS, extents.n, blocks)?;
    Ok(Form::Numbers(dtype))
}
