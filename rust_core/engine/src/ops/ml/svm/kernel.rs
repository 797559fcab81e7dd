//! Kernels of rows of features with constant support vectors.

use diptych_kernels::Isa;
use diptych_kernels::functions::{Unary, power, unary};
use diptych_kernels::ml::svm::{pack_vectors, packed_len, squared_distances};
use diptych_kernels::transpose::transpose;

use super::super::linear::{Product, check_matrix, converted};
use super::super::model::Computing;
use crate::error::{Error, Result};
use crate::operator::BuildCx;
use crate::ops::elements::{buffer_bytes, elements, elements_mut};
use crate::tensor::AlignedBytes;

#[derive(Clone, Copy, PartialEq)]
pub enum KernelType {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// Kernel and parameters, as attributes.
#[derive(Clone, Copy)]
pub struct KernelSpec {
    kernel: KernelType,
    gamma: f32,
    coef0: f32,
    degree: f32,
}

impl KernelSpec {
    pub fn of(cx: &BuildCx<'_>) -> Result<KernelSpec> {
        let kernel = match cx.string("kernel_type")?.unwrap_or("LINEAR") {
            "LINEAR" => KernelType::Linear,
            "POLY" => KernelType::Poly,
            "RBF" => KernelType::Rbf,
            "SIGMOID" => KernelType::Sigmoid,
            other => {
                let message = format!("kernel_type is '{other}', expected LINEAR, POLY, RBF or SIGMOID");
                return Err(Error::invalid_model(message));
            }
        };
        match *cx.floats("kernel_params")?.unwrap_or_default() {
            [] => Ok(KernelSpec { kernel, gamma: 0.0, coef0: 0.0, degree: 0.0 }),
            [gamma, coef0, degree] => Ok(KernelSpec { kernel, gamma, coef0, degree }),
            ref other => {
                let message = format!("kernel_params has {} numbers, expected gamma, coef0 and degree", other.len());
                Err(Error::invalid_model(message))
            }
        }
    }
}

/// The kernels of rows with constant support vectors.
pub struct Kernels<T> {
    spec: KernelSpec,
    pub vectors: usize,
    features: usize,
    /// Of every kernel but RBF.
    product: Option<Product<T>>,
    /// The vectors of RBF in panels.
    panels: AlignedBytes,
    /// `degree` for each vector.
    exponents: Vec<f64>,
}

impl<T: Computing> Kernels<T> {
    pub fn new(isa: Isa, spec: KernelSpec, vectors: &[f32], count: usize, features: usize) -> Result<Kernels<T>> {
        check_matrix("support_vectors", vectors.len(), count, features)?;
        let (mut product, mut panels, mut exponents) = (None, AlignedBytes::zeroed(0)?, Vec::new());
        if spec.kernel == KernelType::Rbf {
            let len = packed_len(count, features).ok_or_else(|| Error::resource_limit("too many support vectors"))?;
            panels = AlignedBytes::zeroed(buffer_bytes::<T>(&[len])?)?;
            if features > 0 {
                pack_vectors(&converted::<T>(vectors), features, elements_mut(panels.as_mut_slice()));
            }
        } else {
            let mut dots = Product::new(isa, converted(vectors), count, features)?;
            if spec.kernel != KernelType::Linear {
                dots.scale = T::of(spec.gamma.into());
                dots.addend = vec![T::of(spec.coef0.into())];
            }
            product = Some(dots);
        }
        if spec.kernel == KernelType::Poly {
            exponents = vec![spec.degree.into(); count];
        }
        Ok(Kernels { spec, vectors: count, features, product, panels, exponents })
    }

    /// Bytes of the kernels of as many rows, of them transposed, and of what a product needs.
    pub fn sizes(&self, rows: usize) -> Result<[usize; 3]> {
        let each = buffer_bytes::<T>(&[rows, self.vectors])?;
        Ok([each, each, self.product.as_ref().map_or(Ok(0), |product| product.scratch(rows))?])
    }

    /// Rough nanoseconds of a row.
    pub fn cost(&self) -> u64 {
        let vectors = self.vectors as u64;
        vectors.saturating_mul(self.features as u64) / 8 + vectors * 2
    }

    /// The kernels of rows of `x`, [vectors, rows], in the second of the rooms.
    pub fn run<'a>(&self, isa: Isa, x: &[T], rows: usize, [across, down, scratch]: [&'a mut [u8]; 3]) -> &'a [T] {
        let across = &mut elements_mut::<T>(across)[..rows * self.vectors];
        let down = &mut elements_mut::<T>(down)[..rows * self.vectors];
        let (ptr, len) = (across.as_mut_ptr(), across.len());
        match &self.product {
            Some(product) => product.run(x, across, scratch),
            None => {
                squared_distances(isa, x, self.features, elements(self.panels.as_slice()), self.vectors, across);
                let gamma = T::of(self.spec.gamma.into());
                across.iter_mut().for_each(|q| *q = -gamma * *q);
            }
        }
        // SAFETY: in place over the whole slice, or over a row of it and an exponent for each element.
        unsafe {
            match self.spec.kernel {
                KernelType::Linear => {}
                KernelType::Rbf => unary(isa, Unary::Exp, ptr, ptr, len),
                KernelType::Sigmoid => unary(isa, Unary::Tanh, ptr, ptr, len),
                KernelType::Poly => {
                    for row in 0..rows {
                        let at = ptr.add(row * self.vectors);
                        power(isa, at, self.exponents.as_ptr(), at, self.vectors);
                    }
                }
            }
        }
        transpose(isa, across, self.vectors, down, rows);
        down
    }
}
