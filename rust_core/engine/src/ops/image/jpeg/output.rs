//! Samples to pixels: colour differences at the image's own size, then red, green and blue.
//!
//! A component of half the size is interpolated linearly, 3/4 of the nearer sample and 1/4 of the farther one, halves rounded down and
//! up in turn; at other ratios samples are repeated. So ONNX has it from libjpeg.

use super::{Component, Frame, Image, Outcome, filled};

/// Pixels of the frame's samples; `transform`: three components are brightness and colour differences.
pub(super) fn pixels(frame: &Frame, transform: bool) -> Outcome<Image> {
    let Frame { width, height, ref components, .. } = *frame;
    let channels = components.len();
    let mut pixels = filled(width * height * channels, 0)?;
    // Whole blocks are interpolated, so that lines are a little longer than the image.
    let longest = width.next_multiple_of(8 * frame.h_max);
    let mut lines = vec![vec![0u8; longest]; channels];
    let mut sums = vec![0u16; longest];
    for (y, row) in pixels.chunks_exact_mut(width * channels).enumerate() {
        for (component, line) in components.iter().zip(&mut lines) {
            component.line(frame, y, line, &mut sums);
        }
        match &lines[..] {
            [grey] => row.copy_from_slice(&grey[..width]),
            [first, second, third] => {
                let samples = first.iter().zip(second).zip(third).map(|((&a, &b), &c)| [a, b, c]);
                for (pixel, sample) in row.as_chunks_mut::<3>().0.iter_mut().zip(samples) {
                    *pixel = if transform { rgb(sample) } else { sample };
                }
            }
            _ => {}
        }
    }
    Ok(Image { width, height, channels, pixels })
}

/// Brightness and two colour differences as red, green and blue, with 16 bits behind the point.
fn rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    const fn fixed(x: f64) -> i32 {
        (x * 65536.0 + 0.5) as i32
    }
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((fixed(1.402) * cr + HALF) >> 16);
    let green = y + ((-fixed(0.34414) * cb - fixed(0.71414) * cr + HALF) >> 16);
    let blue = y + ((fixed(1.772) * cb + HALF) >> 16);
    [red, green, blue].map(|x| x.clamp(0, 255) as u8)
}

impl Component {
    /// Row `y` of the samples that the image has.
    fn row(&self, y: usize) -> &[u8] {
        &self.samples[y.min(self.size[1] - 1) * self.stride * 8..][..self.size[0]]
    }

    /// Line `y` of the image.
    fn line(&self, frame: &Frame, y: usize, line: &mut [u8], sums: &mut [u16]) {
        let (across, down) = (frame.h_max / self.h, frame.v_max / self.v);
        let row = self.row(y / down);
        // Of the two rows next to this one the nearer.
        let other = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { y / 2 + 1 };
        match (across, down) {
            (1, 1) => line[..row.len()].copy_from_slice(row),
            (2, 1) if row.len() > 2 => {
                sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum = x.into());
                twice(&sums[..row.len()], line, 2, [1, 2], [0, 0]);
            }
            (2, 2) if row.len() > 2 => {
                let pairs = row.iter().zip(self.row(other));
                sums.iter_mut().zip(pairs).for_each(|(sum, (&near, &far))| *sum = u16::from(near) * 3 + u16::from(far));
                twice(&sums[..row.len()], line, 4, [8, 7], [8, 7]);
            }
            (1, 2) => {
                let bias = if y.is_multiple_of(2) { 1 } else { 2 };
                for (to, (&near, &far)) in line.iter_mut().zip(row.iter().zip(self.row(other))) {
                    *to = ((u16::from(near) * 3 + u16::from(far) + bias) >> 2) as u8;
                }
            }
            _ => {
                for (to, &x) in line.chunks_mut(across).zip(row) {
                    to.fill(x);
                }
            }
        }
    }
}

/// Two samples from each of `row`, rounded by `shift` bits: 3/4 and 1/4 of neighbours, at the ends the one there is. `bias`: what is added
/// for the left and the right one; at the ends it is `ends`.
fn twice(row: &[u16], line: &mut [u8], shift: u32, bias: [u16; 2], ends: [u16; 2]) {
    let last = row.len() - 1;
    for (x, to) in line.as_chunks_mut::<2>().0.iter_mut().take(row.len()).enumerate() {
        let near = row[x] * 3;
        to[0] = match x.checked_sub(1) {
            Some(left) => (near + row[left] + bias[0]) >> shift,
            None => (row[x] * 4 + ends[0]) >> shift,
        } as u8;
        to[1] = match row.get(x + 1) {
            Some(&right) => (near + right + bias[1]) >> shift,
            None => (row[last] * 4 + ends[1]) >> shift,
        } as u8;
    }
}
