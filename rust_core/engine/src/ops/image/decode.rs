//! ImageDecoder: a file's bytes as an image. JPEG is decoded here, JPEG 2000 by the crate `hayro-jpeg2000`, other formats
//! by the crate `image`.

use std::io::Cursor;

use image::{
    ColorType, DynamicImage, ExtendedColorType, ImageDecoder as Decoder, ImageError, ImageFormat, ImageReader, Limits,
};

use super::decoded::{Failure, Image, Outcome};
use super::{jpeg, jpeg2000};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::operator::{BuildCx, Operator, PlanCx, Planned, Row, Step, rows as versions};
use crate::run::ValueCx;
use crate::tensor::{Tensor, Value};

/// Pixels of an image.
const PIXELS: u64 = 1 << 27;
/// Bytes that a decoder may use besides, for a pixel; and for any image.
const BYTES: u64 = 16;
const ROOM: u64 = 64 << 20;

const FORMATS: [ImageFormat; 5] =
    [ImageFormat::Bmp, ImageFormat::Png, ImageFormat::Pnm, ImageFormat::Tiff, ImageFormat::WebP];

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
            Value::Dense(stream) => Ok(vec![decode(cx, stream.bytes(), pixel)?.into()]),
            other => Err(Error::internal(format!("{} where a tensor was planned", other.describe()))),
        })
    }
}

// [panel: ImageDecoder]
/// The image in `stream` as [height, width, channels]; [0, 0, channels] if it holds none.
fn decode(cx: &ValueCx<'_>, stream: &[u8], pixel: Pixel) -> Result<Tensor> {
    let channels = if pixel == Pixel::Gray { 1 } else { 3 };
    let none = || Tensor::zeros(DType::U8, &[0, 0, channels]);
    let own = if stream.starts_with(&[0xff, 0xd8, 0xff]) {
        let found = jpeg::decode(stream, PIXELS as usize, &|| cx.check().is_err());
        Some(settled(cx, found, PIXELS, |what| format!("{what} is not supported"))?)
    } else if jpeg2000::is_file(stream) {
        let advice = "save the image as lossless JPEG 2000 without it, or as PNG";
        let unsupported = |what: &str| format!("JPEG 2000 with {what} is not supported: {advice}");
        Some(settled(cx, jpeg2000::decode(stream), jpeg2000::PIXELS as u64, unsupported)?)
    } else {
        None
    };
    if let Some(image) = own {
        return image.map_or_else(none, |image| {
            let mut tensor = Tensor::zeros(DType::U8, &[image.height, image.width, channels])?;
            let out = tensor.bytes_mut()?;
            match image.channels {
                1 => grays(&image.pixels, 1, |x| x, pixel, out),
                _ => colors(&image.pixels, 3, |x| x, pixel, out),
            }
            Ok(tensor)
        });
    }
    let Some(image) = read(stream)? else { return none() };
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
// [/panel]

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

/// What a decoder found, `None` in a file that is broken. Of an image it decodes `most` pixels; `unsupported` says what it lacks.
fn settled(
    cx: &ValueCx<'_>,
    found: Outcome<Image>,
    most: u64,
    unsupported: impl Fn(&str) -> String,
) -> Result<Option<Image>> {
    match found {
        Ok(image) => Ok(Some(image)),
        Err(Failure::Broken) => Ok(None),
        Err(Failure::Unsupported(what)) => Err(Error::unsupported(unsupported(what))),
        Err(Failure::TooLarge { width, height }) => Err(too_large(width as u64, height as u64, most)),
        Err(Failure::Stopped) => cx.check().and(Err(Error::internal("a decoder stopped for nothing"))),
        Err(Failure::Memory) => Err(Error::resource_limit("the machine has no room for the image")),
    }
}

fn too_large(width: u64, height: u64, most: u64) -> Error {
    Error::resource_limit(format!("an image of {width} x {height} pixels, at most {most} are decoded"))
}

/// The image in a file of another format, `None` if none can be decoded.
fn read(stream: &[u8]) -> Result<Option<DynamicImage>> {
    let Some(format) = image::guess_format(stream).ok().filter(|format| FORMATS.contains(format)) else {
        return Ok(None);
    };
    let mut decoder = match ImageReader::with_format(Cursor::new(stream), format).into_decoder() {
        Ok(decoder) => decoder,
        Err(error) => return broken(error),
    };
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > PIXELS {
        return Err(too_large(width.into(), height.into(), PIXELS));
    }
    check_kind(decoder.original_color_type(), decoder.color_type())?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(pixels * BYTES + ROOM);
    match decoder.set_limits(limits).and_then(|()| DynamicImage::from_decoder(decoder)) {
        Ok(image) => Ok(Some(image)),
        Err(error) => broken(error),
    }
}

/// No image, if the file is broken. What a whole file has and the decoder lacks is an error of its own.
fn broken(error: ImageError) -> Result<Option<DynamicImage>> {
    match error {
        ImageError::Unsupported(what) => Err(Error::unsupported(what.to_string())),
        _ => Ok(None),
    }
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
