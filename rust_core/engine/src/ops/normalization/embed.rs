//! EmbedLayerNormalization of com.microsoft: rows of tables, chosen by integers, are added up, then normalised.

use diptych_kernels::elementwise::Number;
use diptych_kernels::functions::Float;
use diptych_kernels::norm::{LayerNorm, layer_norm};

use super::rows::{Rows, optional};
use super::skip::{add, check_per_place};
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::operator::{BuildCx, KernelStep, Operator, OutputType, PlanCx, Planned, Row, Step, rows_of};
use crate::ops::elementwise::Place;
use crate::run::KernelCx;
use crate::tensor::element_count;
use crate::with_dtype;

/// Inputs by their place.
mod input {
    pub const IDS: usize = 0;
    pub const SEGMENT_IDS: usize = 1;
    pub const WORDS: usize = 2;
    pub const POSITIONS: usize = 3;
    pub const SEGMENTS: usize = 4;
    pub const GAMMA: usize = 5;
    pub const BETA: usize = 6;
    pub const MASK: usize = 7;
    pub const POSITION_IDS: usize = 8;
}

struct EmbedNormalization {
    epsilon: f32,
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    // Whatever mask_index_type says, the second output counts the mask.
    cx.opt_int("mask_index_type")?;
    Ok(Box::new(EmbedNormalization { epsilon: cx.float("epsilon", 1e-12)? }))
}

impl Operator for EmbedNormalization {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let (dtype, ids) = (cx.dtype(input::WORDS)?, cx.shape(input::IDS)?);
        let &[batch, length] = ids else {
            return Err(Error::shape(format!("input_ids has shape {ids:?}, expected 2 axes")).into());
        };
        let n = self.check(cx, ids)?;
        let outer = element_count(&[batch, length])?;
        let shape = [batch, length, n];
        element_count(&shape)?;
        let outputs = [
            OutputType::new(dtype, &shape[..]),
            OutputType::new(DType::I32, &[batch][..]),
            OutputType::new(dtype, &shape[..]),
        ];
        let rows = Rows { outer, n, centered: true, epsilon: self.epsilon, statistics: [None; 2] };
        let heights = [input::WORDS, input::POSITIONS, input::SEGMENTS].map(|table| match cx.has(table) {
            true => cx.shape(table).map(|shape| shape[0]),
            false => Ok(0),
        });
        let [words, positions, segments] = heights;
        let embeddings = Embeddings { rows, length, heights: [words?, positions?, segments?] };
        with_dtype!(
            dtype, T in [F32, F16] => embeddings.step::<T>(outputs).into(),
            else Err(Error::unsupported(format!("EmbedLayerNormalization of {dtype}")).into())
        )
    }
}

impl EmbedNormalization {
    /// Holds shapes against one another; the length of a row.
    fn check(&self, cx: &PlanCx<'_>, ids: &[usize]) -> Result<usize> {
        let words = cx.shape(input::WORDS)?;
        for (table, name) in [
            (input::WORDS, "word_embedding"),
            (input::POSITIONS, "position_embedding"),
            (input::SEGMENTS, "segment_embedding"),
        ] {
            if cx.has(table) && (cx.shape(table)?.len() != 2 || cx.shape(table)?[1..] != words[1..]) {
                let shape = cx.shape(table)?;
                return Err(Error::shape(format!(
                    "{name} has shape {shape:?}, expected 2 axes, the second as word_embedding's"
                )));
            }
        }
        if cx.has(input::SEGMENT_IDS) && !cx.has(input::SEGMENTS) {
            return Err(Error::shape("segment_ids without a segment_embedding: expected both"));
        }
        let n = words[1];
        check_per_place(cx, input::GAMMA, "gamma", n)?;
        check_per_place(cx, input::BETA, "beta", n)?;
        for (other, name) in [(input::SEGMENT_IDS, "segment_ids"), (input::MASK, "mask")] {
            if cx.has(other) && cx.shape(other)? != ids {
                let shape = cx.shape(other)?;
                return Err(Error::shape(format!("{name} has shape {shape:?}, expected {ids:?}, as input_ids")));
            }
        }
        if cx.has(input::POSITION_IDS) {
            let shape = cx.shape(input::POSITION_IDS)?;
            if shape != ids && shape != [1, ids[1]] {
                return Err(Error::shape(format!("position_ids has shape {shape:?}, expected {ids:?} or [1, ..]")));
            }
        }
        Ok(n)
    }
}

struct Embeddings {
    rows: Rows,
    /// Of a sequence.
    length: usize,
    /// Rows of each table.
    heights: [usize; 3],
}

impl Embeddings {
    fn step<T: Element + Float + Number>(self, outputs: [OutputType; 3]) -> KernelStep {
        let Rows { outer, n, centered, epsilon, .. } = self.rows;
        KernelStep::with_outputs(outputs, move |cx| {
            let chosen = Chosen::new(cx, &self)?;
            let (isa, y) = (cx.isa(), Place::output(cx.output_ptr::<T>(0)));
            let tables = [input::WORDS, input::POSITIONS].map(|table| Place::input(cx.input_ptr::<T>(table)));
            let segments = cx.has(input::SEGMENTS).then(|| Place::input(cx.input_ptr::<T>(input::SEGMENTS)));
            let (gamma, beta) = (cx.input::<T>(input::GAMMA), cx.input::<T>(input::BETA));
            let sum = optional::<T>(cx, Some(2)).unwrap_or(y);
            cx.parallel_ranges(outer, self.rows.grain(), |rows, _| {
                for row in rows {
                    let [word, position, segment] = chosen.at(row);
                    let at = sum.at(row * n);
                    let (scale, bias) = (Some(gamma), Some(beta));
                    let operands = LayerNorm { n, centered, scale, bias, epsilon, mean: None, inverse: None };
                    // SAFETY: rows of the tables, whose indices were checked; a row of the outputs, this thread's alone.
                    unsafe {
                        add(isa, [tables[0].at(word * n), tables[1].at(position * n)], at, n);
                        if let Some(segments) = segments {
                            add(isa, [at.cast_const(), segments.at(segment * n)], at, n);
                        }
                        layer_norm::<T, f32>(isa, &operands, at, y.at(row * n), 0..1);
                    }
                }
            })?;
            if let Some(counts) = cx.opt_output::<i32>(1) {
                let mask = cx.opt_input::<i32>(input::MASK);
                for (i, count) in counts.iter_mut().enumerate() {
                    let row = mask.map_or(&[][..], |mask| &mask[i * self.length..(i + 1) * self.length]);
                    *count = row.iter().filter(|&&value| value == 1).count() as i32;
                }
            }
            Ok(())
        })
        .cost((outer * n) as u64 + 100)
    }
}

/// Which rows of the tables are added up, all of them inside.
struct Chosen<'a> {
    ids: &'a [i32],
    positions: Option<&'a [i32]>,
    segments: Option<&'a [i32]>,
    length: usize,
}

impl<'a> Chosen<'a> {
    fn new(cx: &KernelCx<'a>, embeddings: &Embeddings) -> Result<Chosen<'a>> {
        let length = embeddings.length;
        let [words, positions, segments] = embeddings.heights;
        let check = |name: &str, ids: &[i32], height: usize| match ids
            .iter()
            .find(|&&id| usize::try_from(id).map_or(true, |id| id >= height))
        {
            Some(id) => Err(Error::invalid_input(format!("{name} index {id}: expected 0 to {}", height as i64 - 1))),
            None => Ok(()),
        };
        let chosen = Chosen {
            ids: cx.input(input::IDS),
            positions: cx.opt_input(input::POSITION_IDS),
            segments: cx.opt_input(input::SEGMENT_IDS),
            length,
        };
        let some = !chosen.ids.is_empty();
        check("word", chosen.ids, words)?;
        match chosen.positions {
            Some(ids) => check("position", ids, positions)?,
            None if length > positions => {
                return Err(Error::invalid_input(format!("position index {positions}: expected less")));
            }
            None => {}
        }
        match chosen.segments {
            Some(ids) => check("segment", ids, segments)?,
            None if some && cx.has(input::SEGMENTS) && segments == 0 => {
                return Err(Error::invalid_input("segment index 0: the table is empty"));
            }
            None => {}
        }
        Ok(chosen)
    }

    /// Rows of words, positions, segments for the sum `row`.
    fn at(&self, row: usize) -> [usize; 3] {
        let position = match self.positions {
            None => row % self.length,
            Some(ids) => ids[row % ids.len()] as usize,
        };
        [self.ids[row] as usize, position, self.segments.map_or(0, |ids| ids[row] as usize)]
    }
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    rows_of("com.microsoft", "EmbedLayerNormalization", &[1], build)
}
