//! RNN, GRU and LSTM: they differ in their cells alone.

mod activation;
mod cell;
mod quantized;
mod run;
mod weights;

use diptych_kernels::recurrent::Activation;
use half::{bf16, f16};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::tensor::{Shape, element_count};

/// Inputs by position.
mod input {
    pub const X: usize = 0;
    pub const W: usize = 1;
    pub const R: usize = 2;
    pub const B: usize = 3;
    pub const SEQUENCE_LENS: usize = 4;
    pub const INITIAL_H: usize = 5;
    /// LSTM alone.
    pub const INITIAL_C: usize = 6;
    pub const P: usize = 7;
}

/// Which operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rnn,
    Gru {
        /// The reset gate acts on what R makes of the hidden values, not on these.
        linear_before_reset: bool,
    },
    Lstm {
        /// The forget gate is one minus the input gate.
        input_forget: bool,
    },
}

impl Kind {
    /// Gates, each of as many values as there are hidden ones.
    fn gates(self) -> usize {
        match self {
            Kind::Rnn => 1,
            Kind::Gru { .. } => 3,
            Kind::Lstm { .. } => 4,
        }
    }

    /// The activation functions of a direction.
    fn functions(self) -> &'static [&'static str] {
        match self {
            Kind::Rnn => &["Tanh"],
            Kind::Gru { .. } => &["Sigmoid", "Tanh"],
            Kind::Lstm { .. } => &["Sigmoid", "Tanh", "Tanh"],
        }
    }

    fn is_lstm(self) -> bool {
        matches!(self, Kind::Lstm { .. })
    }
}

#[derive(Clone)]
struct Recurrent {
    kind: Kind,
    /// Of all directions.
    functions: Vec<Activation<f32>>,
    clip: Option<f32>,
    /// The only direction runs from the end.
    reverse: bool,
    hidden_size: Option<i64>,
    batch_first: bool,
}

/// Extents of one layer.
#[derive(Clone, Copy, Debug)]
struct Extents {
    steps: usize,
    batch: usize,
    input: usize,
    hidden: usize,
    /// Values of all gates.
    gates: usize,
    directions: usize,
    batch_first: bool,
}

impl Extents {
    /// Element of `Y` where the hidden values of a step, direction and row of the batch start.
    fn y(&self, step: usize, direction: usize, row: usize) -> usize {
        let place = if self.batch_first {
            (row * self.steps + step) * self.directions + direction
        } else {
            (step * self.directions + direction) * self.batch + row
        };
        place * self.hidden
    }

    /// Element of a state tensor where the values of a direction and row of the batch start.
    fn state(&self, direction: usize, row: usize) -> usize {
        let place = if self.batch_first { row * self.directions + direction } else { direction * self.batch + row };
        place * self.hidden
    }

    fn y_shape(&self) -> Shape {
        if self.batch_first {
            Shape::from_slice(&[self.batch, self.steps, self.directions, self.hidden])
        } else {
            Shape::from_slice(&[self.steps, self.directions, self.batch, self.hidden])
        }
    }

    fn state_shape(&self) -> Shape {
        let [outer, inner] =
            if self.batch_first { [self.batch, self.directions] } else { [self.directions, self.batch] };
        Shape::from_slice(&[outer, inner, self.hidden])
    }
}

impl Recurrent {
    /// The extents, if the inputs have the shapes they need. `transposed`: W and R are stored `[k, gates]`, not `[gates, k]`.
    fn extents(&self, cx: &PlanCx<'_>, transposed: bool) -> Result<Extents> {
        let (x, r) = (cx.shape(input::X)?, cx.shape(input::R)?);
        let (&[outer, inner, features], &[_, rows, columns]) = (x, r) else {
            return Err(Error::shape(format!("X and R have shapes {x:?} and {r:?}, expected rank 3")));
        };
        let (steps, batch) = if self.batch_first { (inner, outer) } else { (outer, inner) };
        let recurrent = if transposed { rows } else { columns };
        let hidden = self.hidden_size.map_or(recurrent, |size| usize::try_from(size).unwrap_or(usize::MAX));
        let directions = self.functions.len() / self.kind.functions().len();
        // More than isize::MAX / 16 elements are refused here, so that products below do not overflow.
        element_count(&[16, hidden, directions, batch.max(1)])?;
        element_count(&[16, hidden, directions, steps.max(1), batch.max(1)])?;
        let gates = self.kind.gates() * hidden;
        let batch_first = self.batch_first;
        let extents = Extents { steps, batch, input: features, hidden, gates, directions, batch_first };
        let state = extents.state_shape();
        let weights = |k: usize| if transposed { [directions, k, gates] } else { [directions, gates, k] };
        let expected: [(&str, usize, &[usize]); 7] = [
            ("W", input::W, &weights(features)),
            ("R", input::R, &weights(hidden)),
            ("B", input::B, &[directions, 2 * gates]),
            ("sequence_lens", input::SEQUENCE_LENS, &[batch]),
            ("initial_h", input::INITIAL_H, &state),
            ("initial_c", input::INITIAL_C, &state),
            ("P", input::P, &[directions, 3 * hidden]),
        ];
        for (name, input, shape) in expected {
            if cx.has(input) && cx.shape(input)? != shape {
                return Err(Error::shape(format!("{name} has shape {:?}, expected {shape:?}", cx.shape(input)?)));
            }
        }
        Ok(extents)
    }
}

impl Operator for Recurrent {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let extents = self.extents(cx, false)?;
        match cx.dtype(input::X)? {
            DType::F32 => run::step::<f32>(self, extents, cx),
            DType::F64 => run::step::<f64>(self, extents, cx),
            DType::F16 => run::step::<f16>(self, extents, cx),
            _ => run::step::<bf16>(self, extents, cx),
        }?
        .into()
    }
}

fn build(cx: &BuildCx<'_>, kind: Kind) -> Result<Recurrent> {
    // output_sequence of the first versions says whether Y is wanted; its name in the node says so too.
    let direction = cx.string("direction")?.unwrap_or("forward");
    let misspelt = direction == "foward" && cx.since == 1 && matches!(kind, Kind::Gru { .. }); // GRU-1's own default
    if !["forward", "reverse", "bidirectional"].contains(&direction) && !misspelt {
        let message = format!("direction is '{direction}', expected forward, reverse or bidirectional");
        return Err(Error::invalid_model(message));
    }
    let directions = if direction == "bidirectional" { 2 } else { 1 };
    Ok(Recurrent {
        kind,
        functions: activation::resolve(cx, kind.functions(), directions)?,
        clip: cx.opt_float("clip")?,
        reverse: direction == "reverse",
        hidden_size: cx.opt_int("hidden_size")?,
        batch_first: cx.int("layout", 0)? != 0,
    })
}

fn build_gru(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let kind = Kind::Gru { linear_before_reset: cx.int("linear_before_reset", 0)? != 0 };
    Ok(Box::new(build(cx, kind)?))
}

fn build_lstm(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    let kind = Kind::Lstm { input_forget: cx.int("input_forget", 0)? != 0 };
    Ok(Box::new(build(cx, kind)?))
}

pub fn rows() -> impl Iterator<Item = Row> {
    versions("RNN", &[1, 7, 14, 22], |cx| Ok(Box::new(build(cx, Kind::Rnn)?)))
        .chain(versions("GRU", &[1, 3, 7, 14, 22], build_gru))
        .chain(versions("LSTM", &[1, 7, 14, 22], build_lstm))
        .chain(quantized::rows())
}
