//! Where an output of Resize reads its input: coordinates, nearest elements, taps and weights (docs/numerics.md, rows Resize).

use crate::error::{Error, Result};
use crate::tensor::element_count;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coordinates {
    HalfPixel,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    TfHalfPixelForNn,
    TfCropAndResize,
    HalfPixelSymmetric,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nearest {
    RoundPreferFloor,
    RoundPreferCeil,
    Floor,
    Ceil,
}

/// The attributes that say how to sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub mode: Mode,
    pub coordinates: Coordinates,
    pub nearest: Nearest,
    pub cubic_coeff_a: f64,
    pub exclude_outside: bool,
    pub extrapolation_value: f32,
    pub antialias: bool,
}

/// One axis to be resized. Its scale is the fraction `numerator / denominator`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub axis: usize,
    pub length: usize,
    pub ratio: (f64, f64),
    pub resized: usize,
    pub roi: (f64, f64),
}

/// Input positions and weights of each output along an axis, `[taps][resized]`.
pub(super) struct Taps {
    pub positions: Vec<usize>,
    pub weights: Vec<f64>,
    pub taps: usize,
}

/// Positions that one axis's table may have.
const TABLE: usize = 1 << 28;

impl Axis {
    pub fn scale(&self) -> f64 {
        self.ratio.0 / self.ratio.1
    }

    /// Whether the axis is sampled anew.
    pub fn changes(&self) -> bool {
        self.scale() != 1.0 || self.resized != self.length || self.roi != (0.0, 1.0)
    }

    /// The output length before it became an integer.
    fn extent(&self) -> f64 {
        self.length as f64 * self.ratio.0 / self.ratio.1
    }

    fn unscale(&self, x: f64) -> f64 {
        x * self.ratio.1 / self.ratio.0
    }

    /// The coordinate in the input of output `o`.
    pub fn source(&self, coordinates: Coordinates, o: usize) -> f64 {
        let x = o as f64;
        let (start, end) = self.roi;
        let last = self.length as f64 - 1.0;
        match coordinates {
            Coordinates::Asymmetric => self.unscale(x),
            Coordinates::TfHalfPixelForNn => self.unscale(x + 0.5),
            Coordinates::AlignCorners | Coordinates::PytorchHalfPixel if self.resized <= 1 => 0.0,
            Coordinates::AlignCorners => x * last / (self.extent() - 1.0),
            Coordinates::TfCropAndResize if self.resized > 1 => {
                start * last + x * (end - start) * last / (self.resized as f64 - 1.0)
            }
            Coordinates::TfCropAndResize => 0.5 * (start + end) * last,
            Coordinates::HalfPixelSymmetric => {
                let offset = self.length as f64 / 2.0 * (1.0 - self.resized as f64 / self.extent());
                offset + self.unscale(x + 0.5) - 0.5
            }
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel => self.unscale(x + 0.5) - 0.5,
        }
    }

    /// Whether output `o` lies before the first or behind the last element.
    pub fn is_outside(&self, settings: &Settings, o: usize) -> bool {
        let x = self.source(settings.coordinates, o);
        settings.coordinates == Coordinates::TfCropAndResize && (x < 0.0 || x > self.length as f64 - 1.0)
    }

    fn clamped(&self, at: f64) -> usize {
        at.clamp(0.0, self.length as f64 - 1.0) as usize
    }

    /// The element nearest to output `o`.
    pub fn nearest(&self, settings: &Settings, o: usize) -> usize {
        let x = self.source(settings.coordinates, o);
        let below = x.floor();
        let part = x - below;
        let up = match settings.nearest {
            Nearest::RoundPreferFloor => part > 0.5,
            Nearest::RoundPreferCeil => part >= 0.5,
            Nearest::Floor => false,
            Nearest::Ceil => part > 0.0,
        };
        self.clamped(below + f64::from(u8::from(up)))
    }

    /// The taps of linear and cubic: the elements floor(x) + 1 - h .. floor(x) + h around the coordinate x.
    pub fn taps(&self, settings: &Settings) -> Result<Taps> {
        let squeeze = if settings.antialias { self.scale().min(1.0) } else { 1.0 };
        if squeeze * (self.length as f64) < 0.5 {
            return Err(Error::invalid_input(format!(
                "antialias: scale {} leaves less than half an element of axis {}",
                self.scale(),
                self.axis
            )));
        }
        let half = (if settings.mode == Mode::Linear { 1.0 } else { 2.0 } / squeeze).ceil();
        let taps = 2 * half as usize;
        let count = element_count(&[taps, self.resized])?;
        if count > TABLE {
            return Err(Error::resource_limit(format!("axis {} needs {taps} taps for each output", self.axis)));
        }
        let mut table = Taps { positions: vec![0; count], weights: vec![0.0; count], taps };
        let mut weights = vec![0.0; taps];
        for o in 0..self.resized {
            let x = self.source(settings.coordinates, o);
            let below = x.floor();
            let place = |k: usize| k as f64 + 1.0 - half;
            for (k, weight) in weights.iter_mut().enumerate() {
                *weight = kernel((place(k) - (x - below)).abs() * squeeze, settings);
            }
            if settings.antialias {
                normalize(&mut weights);
            }
            if settings.exclude_outside {
                let inside = |k: usize| (0.0..self.length as f64).contains(&(below + place(k)));
                weights.iter_mut().enumerate().filter(|(k, _)| !inside(*k)).for_each(|(_, weight)| *weight = 0.0);
                normalize(&mut weights);
            }
            for (k, &weight) in weights.iter().enumerate() {
                table.positions[k * self.resized + o] = self.clamped(below + place(k));
                table.weights[k * self.resized + o] = weight;
            }
        }
        Ok(table)
    }
}

/// Divides by the sum over the taps, one after the other; a sum of 0 counts as 1.
fn normalize(weights: &mut [f64]) {
    let total = weights[1..].iter().fold(weights[0], |sum, weight| sum + weight);
    let total = if total == 0.0 { 1.0 } else { total };
    weights.iter_mut().for_each(|weight| *weight /= total);
}

// [panel: Resize Upsample weights]
/// The weight of a tap at distance `t` >= 0: a tent, or Keys' cubic.
fn kernel(t: f64, settings: &Settings) -> f64 {
    if settings.mode == Mode::Linear {
        // A NaN distance is a NaN weight.
        return if 1.0 - t < 0.0 { 0.0 } else { 1.0 - t };
    }
    let a = settings.cubic_coeff_a;
    if t <= 1.0 {
        ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    } else if t < 2.0 {
        ((a * t - 5.0 * a) * t + 8.0 * a) * t - 4.0 * a
    } else {
        0.0
    }
}
// [/panel]
