//! One scan: some components' blocks, all of their coefficients or, in progressive images, some bits of some.

use super::bits::{Huffman, Reader};
use super::{Failure, Frame, Outcome, State, ZIGZAG};

/// A scan's header.
pub(super) struct Scan {
    /// Component, DC table, AC table.
    parts: Vec<(usize, usize, usize)>,
    /// Coefficients `first ..= last` in the order of coding.
    first: usize,
    last: usize,
    /// Bits that earlier scans left out: before this one (0 if it is the first), and after it.
    before: u32,
    after: u32,
}

/// What runs on from block to block.
#[derive(Default)]
struct Running {
    /// The last DC of each part of the scan.
    dc: [i32; 4],
    /// Blocks that follow without further coefficients.
    skipped: u32,
}

impl Scan {
    /// Reads the header; the components' quantisation tables are those of now.
    pub fn read(segment: &[u8], frame: &mut Frame, tables: &[Option<[u16; 64]>; 4]) -> Outcome<Scan> {
        let count = usize::from(*segment.first().ok_or(Failure::Broken)?);
        let Some((listed, &[first, last, bits])) = segment[1..].split_at_checked(2 * count) else {
            return Err(Failure::Broken);
        };
        let mut parts: Vec<(usize, usize, usize)> = Vec::new();
        for part in listed.chunks_exact(2) {
            let found = frame.components.iter().position(|component| component.id == part[0]);
            let index =
                found.filter(|&index| parts.iter().all(|&(other, ..)| other != index)).ok_or(Failure::Broken)?;
            let (dc, ac) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
            if dc > 3 || ac > 3 {
                return Err(Failure::Broken);
            }
            let component = &mut frame.components[index];
            if component.quantization.is_none() {
                component.quantization = Some(tables[component.table].ok_or(Failure::Broken)?);
            }
            parts.push((index, dc, ac));
        }
        let scan = if frame.progressive {
            let (first, last) = (usize::from(first), usize::from(last));
            Scan { parts, first, last, before: u32::from(bits >> 4), after: u32::from(bits & 15) }
        } else {
            Scan { parts, first: 0, last: 63, before: 0, after: 0 }
        };
        let proper = match (scan.first, scan.last) {
            (0, last) => last == 0 || !frame.progressive,
            (first, last) => first <= last && last < 64 && scan.parts.len() == 1,
        };
        let refines = scan.before == 0 || scan.before == scan.after + 1;
        if proper && refines && scan.after < 14 && !scan.parts.is_empty() { Ok(scan) } else { Err(Failure::Broken) }
    }

    /// Decodes the scan's blocks into the frame.
    pub fn decode(
        &self,
        frame: &mut Frame,
        state: &State,
        reader: &mut Reader<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Outcome<()> {
        let mut running = Running::default();
        let single = self.parts.len() == 1;
        let [across, down] = if single { frame.components[self.parts[0].0].blocks } else { frame.mcus() };
        for mcu in 0..across * down {
            if state.restart > 0 && mcu > 0 && mcu % state.restart == 0 {
                reader.restart()?;
                running = Running::default();
            }
            let (column, row) = (mcu % across, mcu / across);
            for (part, &(index, ..)) in self.parts.iter().enumerate() {
                let component = &frame.components[index];
                let (h, v, stride) =
                    if single { (1, 1, component.stride) } else { (component.h, component.v, component.stride) };
                for i in 0..h * v {
                    let place = (row * v + i / h) * stride + column * h + i % h;
                    self.block(frame, state, reader, part, place, &mut running)?;
                }
            }
            if column == 0 {
                reader.check()?;
                if stop() {
                    return Err(Failure::Stopped);
                }
            }
        }
        reader.check()
    }

    fn block(
        &self,
        frame: &mut Frame,
        state: &State,
        reader: &mut Reader<'_>,
        part: usize,
        place: usize,
        running: &mut Running,
    ) -> Outcome<()> {
        let (index, dc, ac) = self.parts[part];
        let component = &mut frame.components[index];
        if !frame.progressive {
            let mut block = [0; 64];
            let dc_table = state.dc[dc].as_ref().ok_or(Failure::Broken)?;
            let ac_table = state.ac[ac].as_ref().ok_or(Failure::Broken)?;
            running.dc[part] = running.dc[part].wrapping_add(difference(reader, dc_table)?);
            block[0] = running.dc[part] as i16;
            sequential(reader, ac_table, &mut block)?;
            let quantization = component.quantization.ok_or(Failure::Broken)?;
            component.put(place, &block, &quantization);
            return Ok(());
        }
        let block = &mut component.coefficients[place];
        match (self.first, self.before) {
            (0, 0) => {
                let table = state.dc[dc].as_ref().ok_or(Failure::Broken)?;
                running.dc[part] = running.dc[part].wrapping_add(difference(reader, table)?);
                block[0] = (running.dc[part] << self.after) as i16;
            }
            (0, _) => block[0] |= (reader.bits(1) as i16) << self.after,
            (_, before) => {
                let table = state.ac[ac].as_ref().ok_or(Failure::Broken)?;
                if before == 0 {
                    self.first_bits(reader, table, block, &mut running.skipped)?;
                } else {
                    self.next_bit(reader, table, block, &mut running.skipped)?;
                }
            }
        }
        Ok(())
    }

    /// The first bits of the coefficients of a band.
    fn first_bits(
        &self,
        reader: &mut Reader<'_>,
        table: &Huffman,
        block: &mut [i16; 64],
        skipped: &mut u32,
    ) -> Outcome<()> {
        if *skipped > 0 {
            *skipped -= 1;
            return Ok(());
        }
        let mut k = self.first;
        while k <= self.last {
            let code = reader.code(table)?;
            let (run, size) = (usize::from(code >> 4), u32::from(code & 15));
            if size > 0 {
                k += run;
                let place = *ZIGZAG.get(k).ok_or(Failure::Broken)?;
                block[usize::from(place)] = (reader.signed(size) << self.after) as i16;
                k += 1;
            } else if run == 15 {
                k += 16;
            } else {
                *skipped = (1 << run) - 1 + reader.bits(run as u32);
                break;
            }
        }
        Ok(())
    }

    /// One more bit of the coefficients of a band: of those that are not zero, and of some that become 1 or -1.
    fn next_bit(
        &self,
        reader: &mut Reader<'_>,
        table: &Huffman,
        block: &mut [i16; 64],
        skipped: &mut u32,
    ) -> Outcome<()> {
        let one = 1i16 << self.after;
        let mut k = self.first;
        if *skipped == 0 {
            while k <= self.last {
                let code = reader.code(table)?;
                let (mut run, size) = (usize::from(code >> 4), code & 15);
                let mut fresh = 0;
                if size > 0 {
                    fresh = if reader.bits(1) == 1 { one } else { -one };
                } else if run < 15 {
                    *skipped = (1 << run) + reader.bits(run as u32);
                    break;
                }
                while k <= self.last {
                    let value = &mut block[usize::from(ZIGZAG[k])];
                    if *value != 0 {
                        refine(reader, value, one);
                    } else if run == 0 {
                        *value = fresh;
                        k += 1;
                        break;
                    } else {
                        run -= 1;
                    }
                    k += 1;
                }
            }
        }
        if *skipped > 0 {
            for &place in &ZIGZAG[k.min(64)..=self.last] {
                let value = &mut block[usize::from(place)];
                if *value != 0 {
                    refine(reader, value, one);
                }
            }
            *skipped -= 1;
        }
        Ok(())
    }
}

/// Adds a bit to the magnitude of a coefficient.
fn refine(reader: &mut Reader<'_>, value: &mut i16, one: i16) {
    if reader.bits(1) == 1 && *value & one == 0 {
        *value = value.wrapping_add(if *value > 0 { one } else { -one });
    }
}

/// A DC coefficient's difference from the last one.
fn difference(reader: &mut Reader<'_>, table: &Huffman) -> Outcome<i32> {
    match reader.code(table)? {
        size @ 0..=15 => Ok(reader.signed(size.into())),
        _ => Err(Failure::Broken),
    }
}

/// The coefficients of a block but the first.
fn sequential(reader: &mut Reader<'_>, table: &Huffman, block: &mut [i16; 64]) -> Outcome<()> {
    let mut k = 1;
    while k < 64 {
        let code = reader.code(table)?;
        let (run, size) = (usize::from(code >> 4), u32::from(code & 15));
        if size > 0 {
            k += run;
            let place = *ZIGZAG.get(k).ok_or(Failure::Broken)?;
            block[usize::from(place)] = reader.signed(size) as i16;
            k += 1;
        } else if run == 15 {
            k += 16;
        } else {
            break;
        }
    }
    Ok(())
}
