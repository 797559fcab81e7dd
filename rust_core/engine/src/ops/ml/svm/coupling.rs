//! Probabilities of classes from those of pairs: Wu, Lin and Weng, "Probability Estimates for Multi-class Classification by
//! Pairwise Coupling", JMLR 5 (2004), their second approach, iterated as libsvm does.

use super::super::model::Computing;
use super::models::pairs;
use crate::error::Result;
use crate::tensor::element_count;

/// The least bound of the number of iterations.
const ITERATIONS: usize = 100;

/// Elements of work space for `k` classes.
pub fn coupling_len(k: usize) -> Result<usize> {
    let square = element_count(&[k, k])?;
    element_count(&[2, square])?;
    Ok(2 * square + k)
}

/// The probabilities `x` of k classes from `p`, those of the first class of each pair.
pub fn coupled<T: Computing>(p: &[T], x: &mut [T], work: &mut [T]) {
    let k = x.len();
    let (r, rest) = work.split_at_mut(k * k);
    let (q, qx) = rest.split_at_mut(k * k);
    let qx = &mut qx[..k];
    let (zero, one, two, near) = (T::of(0.0), T::of(1.0), T::of(2.0), T::of(1e-7f32.into()));
    for ((i, j), &p) in pairs(k).zip(p) {
        r[i * k + j] = p.maximum(near).minimum(one - near);
        r[j * k + i] = one - r[i * k + j];
    }
    quadratic(r, q, k);
    let classes = T::of(k as f64);
    let close = T::of(0.005) / classes;
    x.fill(one / classes);
    for _ in 0..ITERATIONS.max(k) {
        let mut xqx = zero;
        for t in 0..k {
            qx[t] = q[t * k..(t + 1) * k].iter().zip(&*x).fold(zero, |sum, (&q, &x)| sum + q * x);
        }
        for t in 0..k {
            xqx = xqx + x[t] * qx[t];
        }
        if qx.iter().all(|&each| (each - xqx).abs() < close) {
            break;
        }
        for t in 0..k {
            let (row, diagonal) = (&q[t * k..(t + 1) * k], q[t * k + t]);
            let step = (xqx - qx[t]) / diagonal;
            let grown = one + step;
            x[t] = x[t] + step;
            xqx = (xqx + step * (step * diagonal + two * qx[t])) / grown / grown;
            for ((qx, x), &q) in qx.iter_mut().zip(&mut *x).zip(row) {
                *qx = (*qx + step * q) / grown;
                *x = *x / grown;
            }
        }
    }
}

/// The sums over j of the squares of r_jt on the diagonal, -r_jt * r_tj elsewhere.
fn quadratic<T: Computing>(r: &[T], q: &mut [T], k: usize) {
    for t in 0..k {
        let mut sum = T::of(0.0);
        for j in (0..k).filter(|&j| j != t) {
            sum = sum + r[j * k + t] * r[j * k + t];
            q[t * k + j] = -(r[j * k + t] * r[t * k + j]);
        }
        q[t * k + t] = sum;
    }
}
