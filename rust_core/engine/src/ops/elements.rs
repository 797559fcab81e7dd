//! Aligned bytes seen as elements: packed weights, scratch and workspaces.

use crate::dtype::Element;
use crate::error::Result;
use crate::tensor::{ALIGN, element_count};

/// The elements in `bytes`; what does not fill an element is left out.
///
/// # Panics
/// If the bytes are not aligned for `T`.
pub fn elements<T: Element>(bytes: &[u8]) -> &[T] {
    if bytes.is_empty() {
        return &[];
    }
    assert!((bytes.as_ptr() as usize).is_multiple_of(align_of::<T>()));
    // SAFETY: aligned by the assertion, in bounds, and any bit pattern is an Element.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
}

/// As [`elements`], for writing.
///
/// # Panics
/// If the bytes are not aligned for `T`.
pub fn elements_mut<T: Element>(bytes: &mut [u8]) -> &mut [T] {
    if bytes.is_empty() {
        return &mut [];
    }
    assert!((bytes.as_ptr() as usize).is_multiple_of(align_of::<T>()));
    // SAFETY: as in `elements`, and the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len() / size_of::<T>()) }
}

/// Bytes of a buffer of elements of `T`, with extents `dims`, or an error where that is more than can be addressed.
pub fn buffer_bytes<T>(dims: &[usize]) -> Result<usize> {
    Ok(element_count(dims)? * size_of::<T>())
}

/// Bytes of a workspace with rooms of these sizes, each aligned.
pub fn rooms_bytes(sizes: &[usize]) -> Result<usize> {
    sizes.iter().try_fold(0usize, |sum, size| element_count(&[sum + size.next_multiple_of(ALIGN)]))
}

/// Cuts a workspace of [`rooms_bytes`] into its rooms.
///
/// # Panics
/// If the workspace is shorter.
pub fn rooms<const N: usize>(workspace: &mut [u8], sizes: [usize; N]) -> [&mut [u8]; N] {
    let mut rest = workspace;
    sizes.map(|size| {
        let (room, after) = std::mem::take(&mut rest).split_at_mut(size.next_multiple_of(ALIGN));
        rest = after;
        &mut room[..size]
    })
}
