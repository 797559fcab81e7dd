//! The tables of a transform, computed when its length is known.

use diptych_kernels::Isa;
use diptych_kernels::fourier::{Chirp, Radices, Transform, convolution_len, fill_chirp};

use crate::error::{Error, Result};
use crate::ops::elements::{buffer_bytes, elements, elements_mut, rooms, rooms_bytes};
use crate::tensor::AlignedBytes;

/// Tables of a transform of length `n`.
pub(super) struct Tables {
    n: usize,
    /// The length that has the radices: n or that of Bluestein's convolution.
    m: usize,
    radices: Radices,
    bytes: AlignedBytes,
    /// Rooms: factors, the chirp's cosines and sines, its response's parts.
    sizes: [usize; 5],
}

impl Tables {
    pub fn new(isa: Isa, n: usize) -> Result<Tables> {
        let large = || Error::resource_limit(format!("a transform of length {n}"));
        let found = Radices::of(n);
        let m = if found.is_some() { n } else { convolution_len(n).ok_or_else(large)? };
        // Refused before the tables are: what a line works in.
        buffer_bytes::<f64>(&[m, 4])?;
        let radices = found.or_else(|| Radices::of(m)).ok_or_else(large)?;
        let chirped = usize::from(found.is_none());
        let part = |len: usize| buffer_bytes::<f64>(&[chirped, len]);
        let sizes = [buffer_bytes::<f64>(&[radices.table_len()])?, part(n)?, part(n)?, part(m)?, part(m)?];
        let mut bytes = AlignedBytes::zeroed(rooms_bytes(&sizes)?)?;
        let [table, cos, sin, re, im] = rooms(bytes.as_mut_slice(), sizes).map(elements_mut::<f64>);
        radices.fill(isa, table);
        if chirped == 1 {
            fill_chirp(isa, cos, sin, re, im);
            let mut room = AlignedBytes::zeroed(buffer_bytes::<f64>(&[2, m])?)?;
            let plain = Transform { n: m, radices: &radices, table, chirp: None };
            plain.in_place(isa, re, im, elements_mut(room.as_mut_slice()));
        }
        Ok(Tables { n, m, radices, bytes, sizes })
    }

    /// Elements of each of the four arrays that a line works in.
    pub fn size(&self) -> usize {
        self.m
    }

    pub fn transform(&self) -> Transform<'_> {
        let mut rest = self.bytes.as_slice();
        let [table, cos, sin, re, im] = self.sizes.map(|size| {
            let (room, after) = rest.split_at(size.next_multiple_of(crate::tensor::ALIGN));
            rest = after;
            elements::<f64>(&room[..size])
        });
        let chirp = (self.m != self.n).then_some(Chirp { m: self.m, cos, sin, re, im });
        Transform { n: self.n, radices: &self.radices, table, chirp }
    }
}
