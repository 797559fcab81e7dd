//! JPEG, as libjpeg-turbo decodes it: Huffman codes, sequential or progressive, 8 bits, one or three components.
//!
//! Other decoders differ from it by some levels. ONNX describes its upsampling; its transform ("islow") and its colour conversion, both in
//! integers, are what the left panel's decoder has too, so that the panels agree on JPEG to the last bit.

mod bits;
mod idct;
mod output;
mod scan;

use super::decoded::{Failure, Image, Outcome};
use bits::{Huffman, Reader};
use scan::Scan;

/// A component of the frame, as stored.
pub(super) struct Component {
    id: u8,
    /// Sampling factors, horizontal and vertical.
    h: usize,
    v: usize,
    table: usize,
    /// The quantisation table in force when its first scan began.
    quantization: Option<[u16; 64]>,
    /// Samples that the image has, and blocks that hold them.
    size: [usize; 2],
    blocks: [usize; 2],
    /// Blocks of a row, whole MCUs.
    stride: usize,
    /// Samples, `stride * 8` a row, of sequential images; coefficients of all blocks of progressive ones.
    samples: Vec<u8>,
    coefficients: Vec<[i16; 64]>,
}

/// What the frame header says.
pub(super) struct Frame {
    progressive: bool,
    width: usize,
    height: usize,
    h_max: usize,
    v_max: usize,
    components: Vec<Component>,
}

/// Tables and settings that markers change on the way.
#[derive(Default)]
struct State {
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    restart: usize,
    jfif: bool,
    /// The colour transform that an Adobe marker names.
    adobe: Option<u8>,
}

/// `count` times `value`, or the failure that says there is no room.
fn filled<T: Clone>(count: usize, value: T) -> Outcome<Vec<T>> {
    let mut all = Vec::new();
    all.try_reserve_exact(count).map_err(|_| Failure::Memory)?;
    all.resize(count, value);
    Ok(all)
}

/// Positions of coefficients in the order of their coding.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Scans of one file: a progressive one of thousands would be an attack.
const SCANS: usize = 500;

/// Decodes a file of at most `most` pixels, unless `stop` says to stop.
pub(super) fn decode(stream: &[u8], most: usize, stop: &dyn Fn() -> bool) -> Outcome<Image> {
    let mut state = State::default();
    let mut frame: Option<Frame> = None;
    let mut rest = stream.strip_prefix(&[0xff, 0xd8]).ok_or(Failure::Broken)?;
    let mut scans = 0;
    loop {
        let marker = next_marker(&mut rest).ok_or(Failure::Broken)?;
        match marker {
            0xd9 => break,
            0x01 | 0xd0..=0xd7 => continue,
            _ => {}
        }
        let segment = segment(&mut rest).ok_or(Failure::Broken)?;
        match marker {
            0xc0..=0xc2 if frame.is_none() => frame = Some(Frame::read(segment, marker == 0xc2, most)?),
            0xc4 => state.read_huffman(segment)?,
            0xc3 | 0xc5..=0xc7 => return Err(Failure::Unsupported("lossless or hierarchical JPEG")),
            0xc9..=0xcb | 0xcd..=0xcf => return Err(Failure::Unsupported("JPEG with arithmetic coding")),
            0xdb => state.read_quantization(segment)?,
            0xdd => state.restart = usize::from(pair(segment, 0)?),
            0xe0 if segment.starts_with(b"JFIF\0") => state.jfif = true,
            0xee if segment.starts_with(b"Adobe") => state.adobe = segment.get(11).copied(),
            0xda => {
                scans += 1;
                let frame = frame.as_mut().filter(|_| scans <= SCANS).ok_or(Failure::Broken)?;
                let scan = Scan::read(segment, frame, &state.quantization)?;
                let mut reader = Reader::new(rest);
                scan.decode(frame, &state, &mut reader, stop)?;
                rest = reader.rest();
            }
            _ => {}
        }
    }
    let mut frame = frame.filter(|_| scans > 0).ok_or(Failure::Broken)?;
    let transform = state.has_luma(&frame);
    frame.finish()?;
    output::pixels(&frame, transform)
}

/// The next marker; what lies before it is skipped.
fn next_marker(rest: &mut &[u8]) -> Option<u8> {
    loop {
        let at = rest.iter().position(|&byte| byte == 0xff)?;
        *rest = &rest[at + 1..];
        let marker = *rest.iter().find(|&&byte| byte != 0xff)?;
        while rest.first() == Some(&0xff) {
            *rest = &rest[1..];
        }
        *rest = &rest[1..];
        if marker != 0 {
            return Some(marker);
        }
    }
}

/// The bytes of a marker's segment.
fn segment<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
    let segment = rest.get(2..length)?;
    *rest = &rest[length..];
    Some(segment)
}

/// Two bytes as a number.
fn pair(segment: &[u8], at: usize) -> Outcome<u16> {
    match segment.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Failure::Broken),
    }
}

impl State {
    fn read_quantization(&mut self, mut segment: &[u8]) -> Outcome<()> {
        while let Some((&head, rest)) = segment.split_first() {
            let (wide, table) = (head >> 4, usize::from(head & 15));
            let bytes = if wide == 0 { 64 } else { 128 };
            if wide > 1 || table > 3 || rest.len() < bytes {
                return Err(Failure::Broken);
            }
            let mut values = [0; 64];
            for (i, &place) in ZIGZAG.iter().enumerate() {
                values[usize::from(place)] = if wide == 0 { rest[i].into() } else { pair(rest, 2 * i)? };
            }
            self.quantization[table] = Some(values);
            segment = &rest[bytes..];
        }
        Ok(())
    }

    fn read_huffman(&mut self, mut segment: &[u8]) -> Outcome<()> {
        while !segment.is_empty() {
            let (head, counts) = (segment[0], segment.get(1..17).ok_or(Failure::Broken)?);
            let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let values = segment.get(17..17 + total).ok_or(Failure::Broken)?;
            let table = Huffman::new(counts, values).ok_or(Failure::Broken)?;
            match (head >> 4, usize::from(head & 15)) {
                (0, at @ 0..=3) => self.dc[at] = Some(table),
                (1, at @ 0..=3) => self.ac[at] = Some(table),
                _ => return Err(Failure::Broken),
            }
            segment = &segment[17 + total..];
        }
        Ok(())
    }

    /// Whether three components are brightness and two colour differences, else red, green and blue.
    fn has_luma(&self, frame: &Frame) -> bool {
        let ids: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
        match self.adobe {
            _ if self.jfif => true,
            Some(transform) => transform != 0,
            None => ids != *b"RGB",
        }
    }
}

impl Frame {
    fn read(segment: &[u8], progressive: bool, most: usize) -> Outcome<Frame> {
        let &[precision, _, _, _, _, count, ref listed @ ..] = segment else { return Err(Failure::Broken) };
        let (height, width) = (usize::from(pair(segment, 1)?), usize::from(pair(segment, 3)?));
        if precision != 8 {
            return Err(Failure::Unsupported("JPEG of other than 8 bits"));
        }
        if width == 0 || height == 0 || listed.len() != 3 * usize::from(count) {
            return Err(Failure::Broken);
        }
        if width * height > most {
            return Err(Failure::TooLarge { width, height });
        }
        match count {
            1 | 3 => {}
            4 => return Err(Failure::Unsupported("an image of CMYK")),
            _ => return Err(Failure::Unsupported("JPEG of other than one or three components")),
        }
        let factors = listed.chunks_exact(3).map(|c| [usize::from(c[1] >> 4), usize::from(c[1] & 15)]);
        if factors.clone().flatten().any(|factor| !(1..=4).contains(&factor))
            || listed.chunks_exact(3).any(|c| c[2] > 3)
        {
            return Err(Failure::Broken);
        }
        let h_max = factors.clone().map(|[h, _]| h).max().unwrap_or(1);
        let v_max = factors.map(|[_, v]| v).max().unwrap_or(1);
        // A sample for one and a half pixels is not decoded by libjpeg either.
        if factors_are_broken(listed, h_max, v_max) {
            return Err(Failure::Broken);
        }
        let mut frame = Frame { progressive, width, height, h_max, v_max, components: Vec::new() };
        for listed in listed.chunks_exact(3) {
            let (h, v) = (usize::from(listed[1] >> 4), usize::from(listed[1] & 15));
            let component = frame.component(listed[0], h, v, listed[2].into())?;
            frame.components.push(component);
        }
        Ok(frame)
    }

    fn component(&self, id: u8, h: usize, v: usize, table: usize) -> Outcome<Component> {
        let size = [(self.width * h).div_ceil(self.h_max), (self.height * v).div_ceil(self.v_max)];
        let [across, down] = self.mcus();
        let (stride, rows) = (across * h, down * v);
        let (samples, coefficients) = if self.progressive {
            (Vec::new(), filled(stride * rows, [0; 64])?)
        } else {
            (filled(stride * rows * 64, 128)?, Vec::new())
        };
        Ok(Component {
            id,
            h,
            v,
            table,
            quantization: None,
            size,
            blocks: size.map(|n| n.div_ceil(8)),
            stride,
            samples,
            coefficients,
        })
    }

    /// MCUs of an interleaved scan, across and down.
    fn mcus(&self) -> [usize; 2] {
        [self.width.div_ceil(8 * self.h_max), self.height.div_ceil(8 * self.v_max)]
    }

    /// Samples of a progressive image from its coefficients.
    fn finish(&mut self) -> Outcome<()> {
        for component in &mut self.components {
            // A component without a scan has no table.
            let table = component.quantization.ok_or(Failure::Broken)?;
            let coefficients = std::mem::take(&mut component.coefficients);
            if self.progressive {
                component.samples = filled(coefficients.len() * 64, 0)?;
            }
            for (index, block) in coefficients.iter().enumerate() {
                component.put(index, block, &table);
            }
        }
        Ok(())
    }
}

/// Whether a component has no whole number of pixels for a sample.
fn factors_are_broken(listed: &[u8], h_max: usize, v_max: usize) -> bool {
    listed
        .chunks_exact(3)
        .any(|c| !h_max.is_multiple_of((c[1] >> 4).into()) || !v_max.is_multiple_of((c[1] & 15).into()))
}

impl Component {
    /// Writes the samples of block `index`.
    fn put(&mut self, index: usize, block: &[i16; 64], table: &[u16; 64]) {
        let width = self.stride * 8;
        let first = index / self.stride * 8 * width + index % self.stride * 8;
        idct::inverse(block, table, &mut self.samples[first..], width);
    }
}
