//! JPEG 2000. What a file says of itself is read here, and what is not known to be decoded alike everywhere is refused;
//! the packets are left to the crate `hayro-jpeg2000`, which sees a codestream of known extent and kind.
//!
//! It computes in binary32. With at most 16 bit planes and 16 decompositions no number reaches 2^24: a level of the
//! reversible wavelet adds 5.25 * 2^16 at most, colours make it 2.5 times as much. So its integers are exact.

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image as Decoder};

use super::decoded::{Failure, Image, Outcome};

/// Pixels of an image, fewer than of other formats: the decoder needs about 32 bytes for each.
pub(super) const PIXELS: usize = 1 << 25;
/// Bytes that descriptions of code-blocks may take, for a pixel; and for any image.
const BYTES: u64 = 16;
const ROOM: u64 = 64 << 20;

/// Decompositions, bit planes and layers that are decoded.
const LEVELS: u32 = 16;
const PLANES: u32 = 16;
const LAYERS: u32 = 32;

const SIGNATURE: &[u8] = b"\0\0\0\x0cjP  \r\n\x87\n";
const CODESTREAM: &[u8] = b"\xff\x4f\xff\x51"; // SOC, SIZ

const SIZ: u32 = 0xff51;
const COD: u32 = 0xff52;
const TLM: u32 = 0xff55;
const PLT: u32 = 0xff58;
const QCD: u32 = 0xff5c;
const CRG: u32 = 0xff63;
const COM: u32 = 0xff64;
const SOT: u32 = 0xff90;
const SOD: u32 = 0xff93;

pub(super) fn is_file(stream: &[u8]) -> bool {
    stream.starts_with(SIGNATURE) || stream.starts_with(CODESTREAM)
}

/// The image in a file: colours or grey, without transparency.
pub(super) fn decode(stream: &[u8]) -> Outcome<Image> {
    let (codestream, size) = if stream.starts_with(SIGNATURE) { in_boxes(stream)? } else { checked(stream)? };
    let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    let image = Decoder::new(codestream, &settings).map_err(|_| Failure::Broken)?;
    let mut room = DecoderContext::default();
    let decoded = image.decode(&mut room).map_err(|_| Failure::Broken)?;
    let planes: Vec<&[f32]> = decoded.components().iter().map(|plane| plane.samples()).collect();
    let count = size.width * size.height;
    if planes.len() != size.components || planes.iter().any(|plane| plane.len() != count) {
        return Err(Failure::Broken);
    }
    let channels = if size.components < 3 { 1 } else { 3 };
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(count * channels).map_err(|_| Failure::Memory)?;
    pixels.resize(count * channels, 0);
    for (channel, plane) in planes[..channels].iter().enumerate() {
        for (out, &sample) in pixels[channel..].iter_mut().step_by(channels).zip(*plane) {
            *out = sample as u8; // integers, clamped to 0 .. 255
        }
    }
    Ok(Image { width: size.width, height: size.height, channels, pixels })
}

/// Bytes of a file, from front to back.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Outcome<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Failure::Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    /// An integer of 1, 2 or 4 bytes.
    fn integer(&mut self, bytes: usize) -> Outcome<u32> {
        Ok(self.take(bytes)?.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    /// The rest of a marker's segment.
    fn segment(&mut self) -> Outcome<Self> {
        let length = self.integer(2)? as usize;
        Ok(Self(self.take(length.checked_sub(2).ok_or(Failure::Broken)?)?))
    }

    /// A box of a JP2 file: its type and content.
    fn next_box(&mut self) -> Outcome<(&'a [u8], Self)> {
        let length = self.integer(4)? as usize;
        let kind = self.take(4)?;
        let length = match length {
            0 => self.0.len(),
            1 if self.integer(4)? == 0 => (self.integer(4)? as usize).checked_sub(16).ok_or(Failure::Broken)?,
            _ => length.checked_sub(8).ok_or(Failure::Broken)?,
        };
        Ok((kind, Self(self.take(length)?)))
    }
}

/// What a codestream says of its image.
struct Size {
    width: usize,
    height: usize,
    components: usize,
    tile: [usize; 2],
    tiles: usize,
}

/// The codestream in a JP2 file.
fn in_boxes(stream: &[u8]) -> Outcome<(&[u8], Size)> {
    let mut file = Reader(stream);
    let mut header = None;
    loop {
        let (kind, content) = file.next_box()?;
        match kind {
            b"jp2h" if header.is_none() => header = Some(Header::read(content)?),
            b"jp2c" => {
                let header = header.ok_or(Failure::Broken)?;
                let (codestream, size) = checked(content.0)?;
                header.check(&size)?;
                return Ok((codestream, size));
            }
            _ => {}
        }
    }
}

/// What the boxes around a codestream say of the image in it.
struct Header {
    /// Height, width and components.
    size: [usize; 3],
    /// Channels of colour, 1 or 3; 0 with a profile, which leaves it open.
    colors: usize,
    /// Whether channels are defined, and how many.
    channels: Option<usize>,
}

impl Header {
    fn read(mut boxes: Reader<'_>) -> Outcome<Self> {
        let (mut size, mut colors, mut channels) = (None, None, None);
        while !boxes.0.is_empty() {
            let (kind, mut content) = boxes.next_box()?;
            match kind {
                b"ihdr" => {
                    let (height, width) = (content.integer(4)?, content.integer(4)?);
                    size = Some([height as usize, width as usize, content.integer(2)? as usize]);
                }
                b"colr" if colors.is_none() => colors = Some(colors_of(content)?), // others say the same otherwise
                b"cdef" => channels = Some(channels_of(content)?),
                b"pclr" | b"cmap" => return Err(Failure::Unsupported("a palette")),
                _ => {}
            }
        }
        Ok(Self { size: size.ok_or(Failure::Broken)?, colors: colors.ok_or(Failure::Broken)?, channels })
    }

    fn check(&self, size: &Size) -> Outcome<()> {
        let colors = if size.components < 3 { 1 } else { 3 };
        let fits = self.size == [size.height, size.width, size.components]
            && [0, colors].contains(&self.colors)
            && self.channels.is_none_or(|channels| channels == size.components);
        if fits { Ok(()) } else { Err(Failure::Broken) }
    }
}

/// Channels of the colour space in a box colr.
fn colors_of(mut content: Reader<'_>) -> Outcome<usize> {
    let method = content.integer(1)?;
    content.take(2)?;
    match method {
        1 => match content.integer(4)? {
            16 => Ok(3),
            17 => Ok(1),
            _ => Err(Failure::Unsupported("a colour space other than sRGB and grey")),
        },
        2 => Ok(0),
        _ => Err(Failure::Unsupported("a colour space of its own")),
    }
}

/// How many channels a box cdef defines, which are to be colours in their order, and opacity.
fn channels_of(mut content: Reader<'_>) -> Outcome<usize> {
    let count = content.integer(2)?;
    for channel in 0..count {
        let definition = [content.integer(2)?, content.integer(2)?, content.integer(2)?];
        let opacity = count % 2 == 0 && channel + 1 == count;
        if definition != if opacity { [channel, 1, 0] } else { [channel, 0, channel + 1] } {
            return Err(Failure::Unsupported("channels in an unusual order"));
        }
    }
    Ok(count as usize)
}

/// The codestream at the start of `stream`, whole and of a kind that is decoded.
fn checked(stream: &[u8]) -> Outcome<(&[u8], Size)> {
    if !stream.starts_with(CODESTREAM) {
        return Err(Failure::Broken);
    }
    let mut reader = Reader(&stream[4..]);
    let size = size_of(reader.segment()?)?;
    let (mut style, mut exponents) = (None, None);
    loop {
        match reader.integer(2)? {
            SOT => break,
            COD if style.is_none() => style = Some(Style::read(reader.segment()?, &size)?),
            QCD if exponents.is_none() => exponents = Some(reader.segment()?.0),
            COD | QCD | SIZ => return Err(Failure::Broken),
            TLM | CRG | COM => _ = reader.segment()?,
            _ => return Err(Failure::Unsupported("such a marker in its header")),
        }
    }
    let style = style.ok_or(Failure::Broken)?;
    check_planes(exponents.ok_or(Failure::Broken)?, style.levels)?;
    style.check_room(&size)?;
    let length = check_tiles(stream, stream.len() - reader.0.len() - 2, size.tiles)?;
    check_halves(size.width, size.tile[0], style.levels)?;
    check_halves(size.height, size.tile[1], style.levels)?;
    Ok((&stream[..length], size))
}

/// The segment SIZ.
fn size_of(mut segment: Reader<'_>) -> Outcome<Size> {
    segment.take(2)?; // capabilities
    let mut numbers = [0; 8];
    for number in &mut numbers {
        *number = segment.integer(4)? as usize;
    }
    let [width, height, offsets @ .., tile_width, tile_height, x, y] = numbers;
    let components = segment.integer(2)? as usize;
    if segment.0.len() != 3 * components || [width, height, tile_width, tile_height].contains(&0) {
        return Err(Failure::Broken);
    }
    if !(1..=4).contains(&components) {
        return Err(Failure::Unsupported("more than four components"));
    }
    if offsets != [0, 0] || [x, y] != [0, 0] {
        return Err(Failure::Unsupported("an offset of the image or its tiles"));
    }
    for component in segment.0.chunks_exact(3) {
        if component[0] != 7 {
            return Err(Failure::Unsupported("components that are not of 8 bits, unsigned"));
        }
        if component[1..] != [1, 1] {
            return Err(Failure::Unsupported("subsampled components"));
        }
    }
    if width.checked_mul(height).is_none_or(|pixels| pixels > PIXELS) {
        return Err(Failure::TooLarge { width, height });
    }
    let tiles = width.div_ceil(tile_width) * height.div_ceil(tile_height);
    if tiles > 0xffff {
        return Err(Failure::Broken);
    }
    Ok(Size { width, height, components, tile: [tile_width.min(width), tile_height.min(height)], tiles })
}

/// How components are coded.
struct Style {
    layers: u32,
    levels: u32,
    /// Logarithms of a code-block's width and height.
    block: [u32; 2],
    /// Logarithms of a precinct's width and height at every resolution.
    precincts: Vec<[u32; 2]>,
}

impl Style {
    /// The segment COD.
    fn read(mut segment: Reader<'_>, size: &Size) -> Outcome<Self> {
        let [flags, order] = [segment.integer(1)?, segment.integer(1)?];
        let layers = segment.integer(2)?;
        let [mixed, levels] = [segment.integer(1)?, segment.integer(1)?];
        let block = [segment.integer(1)? + 2, segment.integer(1)? + 2];
        let [options, wavelet] = [segment.integer(1)?, segment.integer(1)?];
        let stored = segment.0;
        if order > 4
            || layers == 0
            || mixed > u32::from(size.components > 2)
            || levels > 32
            || block.iter().any(|&side| side > 10)
            || block[0] + block[1] > 12
            || wavelet > 1
            || stored.len() != if flags & 1 == 1 { levels as usize + 1 } else { 0 }
        {
            return Err(Failure::Broken);
        }
        if wavelet == 0 {
            return Err(Failure::Unsupported("the irreversible (9/7) wavelet"));
        }
        if flags > 1 || options != 0 {
            return Err(Failure::Unsupported("options of packets or code-blocks"));
        }
        if layers > LAYERS || levels > LEVELS {
            return Err(Failure::Unsupported("more than 32 layers or 16 decompositions"));
        }
        let mut precincts = vec![[15, 15]; levels as usize + 1];
        for (precinct, &byte) in precincts.iter_mut().zip(stored) {
            *precinct = [u32::from(byte & 15), u32::from(byte >> 4)];
        }
        if precincts[1..].iter().flatten().any(|&side| side == 0) {
            return Err(Failure::Broken);
        }
        Ok(Self { layers, levels, block, precincts })
    }

    /// Refuses code-blocks so many that their descriptions are much larger than the image.
    fn check_room(&self, size: &Size) -> Outcome<()> {
        let mut blocks = 0;
        for (resolution, precinct) in (0..).zip(&self.precincts) {
            // Those of the largest tile, rounded up: of a band's side, and of parts of blocks at both its ends.
            let (bands, halvings, less) =
                if resolution == 0 { (1, self.levels, 0) } else { (3, self.levels - resolution + 1, 1) };
            let along = |axis: usize| {
                let side = (size.tile[axis] as u64 >> halvings) + 2;
                (side >> self.block[axis].min(precinct[axis] - less)) + 2
            };
            blocks += bands * along(0) * along(1);
        }
        let bytes = blocks * size.components as u64 * (256 + 24 * u64::from(self.layers));
        if bytes > (size.width * size.height) as u64 * BYTES + ROOM {
            return Err(Failure::Unsupported("so many code-blocks"));
        }
        Ok(())
    }
}

/// The segment QCD: of the reversible wavelet it says how many bit planes each band has.
fn check_planes(segment: &[u8], levels: u32) -> Outcome<()> {
    let (&style, exponents) = segment.split_first().ok_or(Failure::Broken)?;
    if style & 31 != 0 || exponents.len() != 3 * levels as usize + 1 {
        return Err(Failure::Broken);
    }
    if exponents.iter().any(|&byte| u32::from(style >> 5) + u32::from(byte >> 3) > PLANES + 1) {
        return Err(Failure::Unsupported("more than 16 bit planes"));
    }
    Ok(())
}

/// Refuses tiles of which a level of the wavelet is one number at an odd place along an axis: it is halved, and decoders
/// round differently where it is odd since bit planes were left out.
fn check_halves(extent: usize, tile: usize, levels: u32) -> Outcome<()> {
    for start in (0..extent).step_by(tile) {
        let end = extent.min(start + tile);
        for halvings in 0..levels {
            let low = start.div_ceil(1 << halvings);
            if low % 2 == 1 && end.div_ceil(1 << halvings) == low + 1 {
                return Err(Failure::Unsupported("tiles that end in a single row or column at an odd place"));
            }
        }
    }
    Ok(())
}

/// Follows the parts of tiles, of which the first starts at `at`: all tiles are there. Where the codestream ends.
fn check_tiles(stream: &[u8], mut at: usize, tiles: usize) -> Outcome<usize> {
    let mut parts = vec![[0, 0]; tiles]; // seen and announced
    loop {
        let mut reader = Reader(&stream[at..]);
        match reader.integer(2)? {
            SOT => {}
            0xffd9 => break,
            _ => return Err(Failure::Broken),
        }
        let mut segment = reader.segment()?;
        let [tile, length] = [segment.integer(2)? as usize, segment.integer(4)? as usize];
        let [part, count] = [segment.integer(1)?, segment.integer(1)?];
        let known = parts.get_mut(tile).ok_or(Failure::Broken)?;
        if !segment.0.is_empty() || part != known[0] || (known[1] != 0 && ![0, known[1]].contains(&count)) {
            return Err(Failure::Broken);
        }
        *known = [part + 1, known[1].max(count)];
        let end = if length == 0 { stream.len().checked_sub(2) } else { at.checked_add(length) };
        let end = end.filter(|&end| end <= stream.len() && end >= at + 12).ok_or(Failure::Broken)?;
        check_part(Reader(&stream[at + 12..end]))?;
        at = end;
    }
    let whole = |&[seen, announced]: &[u32; 2]| seen > 0 && (announced == 0 || announced == seen);
    if parts.iter().all(whole) { Ok(at + 2) } else { Err(Failure::Broken) }
}

/// The header of a tile's part, which is to say nothing of its own.
fn check_part(mut part: Reader<'_>) -> Outcome<()> {
    loop {
        match part.integer(2)? {
            SOD => return Ok(()),
            PLT | COM => _ = part.segment()?,
            _ => return Err(Failure::Unsupported("such a marker in the header of a tile")),
        }
    }
}
