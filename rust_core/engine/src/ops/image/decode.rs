//! ImageDecoder: a file's bytes as an image.

use std::io::Cursor;

use image::{ColorType, DynamicImage, ExtendedColorType, ImageDecoder as Decoder, ImageFormat, ImageReader, Limits};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::tensor::{Tensor, Value};

/// Pixels of an image.
const PIXELS: u64 = 1 << 27;
/// Bytes that a decoder may use besides, for a pixel; and for any image.
const BYTES: u64 = 16;
const ROOM: u64 = 64 << 20;

const FORMATS: [ImageFormat; 6] =
    [ImageFormat::Bmp, ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Pnm, ImageFormat::Tiff, ImageFormat::WebP];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pixel {
    Rgb,
    Bgr,
    Gray,
}

struct ImageDecoder(Pixel);

impl Operator for ImageDecoder {
    fn plan(&self, cx: &PlanCx<'_>) -> Planned<Step> {
        let shape = cx.shape(0)?;
        if shape.len() != 1 {
            return Err(Error::shape(format!("encoded_stream has shape {shape:?}, expected one dimension")).into());
        }
        let pixel = self.0;
        Step::values(move |cx| match cx.input(0)? {
            Value::Dense(stream) => Ok(vec![decode(stream.bytes(), pixel)?.into()]),
            other => Err(Error::internal(format!("{} where a tensor was planned", other.describe()))),
        })
    }
}

/// The image in `stream` as [height, width, channels]; [0, 0, channels] if it holds none.
fn decode(stream: &[u8], pixel: Pixel) -> Result<Tensor> {
    let channels = if pixel == Pixel::Gray { 1 } else { 3 };
    let Some(image) = read(stream)? else { return Tensor::zeros(DType::U8, &[0, 0, channels]) };
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut tensor = Tensor::zeros(DType::U8, &[height, width, channels])?;
    let out = tensor.bytes_mut()?;
    // Colours before transparency; of 16 bits the upper 8.
    match &image {
        DynamicImage::ImageLuma8(i) => grays(i.as_raw(), 1, |x| x, pixel, out),
        DynamicImage::ImageLumaA8(i) => grays(i.as_raw(), 2, |x| x, pixel, out),
        DynamicImage::ImageLuma16(i) => grays(i.as_raw(), 1, upper, pixel, out),
        DynamicImage::ImageLumaA16(i) => grays(i.as_raw(), 2, upper, pixel, out),
        DynamicImage::ImageRgb8(i) => colors(i.as_raw(), 3, |x| x, pixel, out),
        DynamicImage::ImageRgba8(i) => colors(i.as_raw(), 4, |x| x, pixel, out),
        DynamicImage::ImageRgb16(i) => colors(i.as_raw(), 3, upper, pixel, out),
        DynamicImage::ImageRgba16(i) => colors(i.as_raw(), 4, upper, pixel, out),
        other => return Err(Error::unsupported(format!("an image of {:?} is not supported", other.color()))),
    }
    Ok(tensor)
}

fn upper(x: u16) -> u8 {
    (x >> 8) as u8
}

/// Writes pixels whose first number is grey.
fn grays<S: Copy>(from: &[S], each: usize, narrow: impl Fn(S) -> u8, pixel: Pixel, out: &mut [u8]) {
    let channels = if pixel == Pixel::Gray { 1 } else { 3 };
    for (from, out) in from.chunks_exact(each).zip(out.chunks_exact_mut(channels)) {
        out.fill(narrow(from[0]));
    }
}

/// Writes pixels whose first three numbers are red, green and blue.
fn colors<S: Copy>(from: &[S], each: usize, narrow: impl Fn(S) -> u8, pixel: Pixel, out: &mut [u8]) {
    let pixels = from.chunks_exact(each).map(|p| [narrow(p[0]), narrow(p[1]), narrow(p[2])]);
    match pixel {
        Pixel::Rgb => pixels.zip(out.as_chunks_mut::<3>().0).for_each(|(p, out)| *out = p),
        Pixel::Bgr => pixels.zip(out.as_chunks_mut::<3>().0).for_each(|([r, g, b], out)| *out = [b, g, r]),
        Pixel::Gray => pixels.zip(out).for_each(|(p, out)| *out = luma(p)),
    }
}

/// Brightness as ITU-R 601-2 weighs it.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b) + 32768) >> 16) as u8
}

/// The image in `stream`, `None` if none can be decoded.
fn read(stream: &[u8]) -> Result<Option<DynamicImage>> {
    if stream.starts_with(b"\0\0\0\x0cjP  \r\n\x87\n") || stream.starts_with(b"\xff\x4f\xff\x51") {
        return Err(Error::unsupported("JPEG 2000 is not supported"));
    }
    let Some(format) = image::guess_format(stream).ok().filter(|format| FORMATS.contains(format)) else {
        return Ok(None);
    };
    let reader = ImageReader::with_format(Cursor::new(stream), format);
    let Ok(mut decoder) = reader.into_decoder() else { return Ok(None) };
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > PIXELS {
        let message = format!("an image of {width} x {height} pixels, at most {PIXELS} are decoded");
        return Err(Error::resource_limit(message));
    }
    check_kind(decoder.original_color_type(), decoder.color_type())?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(pixels * BYTES + ROOM);
    if decoder.set_limits(limits).is_err() {
        return Ok(None);
    }
    Ok(DynamicImage::from_decoder(decoder).ok())
}

/// Refuses kinds of images that decoders take differently.
fn check_kind(stored: ExtendedColorType, decoded: ColorType) -> Result<()> {
    let floats = matches!(decoded, ColorType::Rgb32F | ColorType::Rgba32F);
    let separations = matches!(stored, ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16);
    if floats || separations {
        return Err(Error::unsupported(format!("an image of {stored:?} is not supported")));
    }
    Ok(())
}

fn build(cx: &BuildCx<'_>) -> Result<Box<dyn Operator>> {
    Ok(Box::new(ImageDecoder(match cx.string("pixel_format")?.unwrap_or("RGB") {
        "RGB" => Pixel::Rgb,
        "BGR" => Pixel::Bgr,
        "Grayscale" => Pixel::Gray,
        other => {
            let message = format!("pixel_format is '{other}', expected RGB, BGR or Grayscale");
            return Err(Error::invalid_model(message));
        }
    })))
}

pub(super) fn rows() -> impl Iterator<Item = Row> {
    versions("ImageDecoder", &[20], build)
}
