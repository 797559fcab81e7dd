//! Borrowed matrices: what the products read and write.

use std::marker::PhantomData;
use std::ops::Range;

/// Elements that a strided view reaches, or `None` if the count does not fit `usize`. An empty view reaches none.
pub(crate) fn extent(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> Option<usize> {
    if rows == 0 || cols == 0 {
        return Some(0);
    }
    let last_row = (rows - 1).checked_mul(row_stride)?;
    let last_col = (cols - 1).checked_mul(col_stride)?;
    last_row.checked_add(last_col)?.checked_add(1)
}

/// A matrix to read: element `(i, j)` is `data[i * row_stride + j * col_stride]`. A stride of 0 broadcasts.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T: Copy> MatRef<'a, T> {
    /// # Panics
    /// If the last element lies beyond `data`.
    pub fn new(data: &'a [T], rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> Self {
        let reach = extent(rows, cols, row_stride, col_stride);
        assert!(
            reach.is_some_and(|n| n <= data.len()),
            "matrix {rows}x{cols} reaches beyond its {} elements",
            data.len()
        );
        MatRef { data, rows, cols, row_stride, col_stride }
    }

    /// A dense row-major matrix.
    pub fn row_major(data: &'a [T], rows: usize, cols: usize) -> Self {
        MatRef::new(data, rows, cols, cols, 1)
    }

    pub fn transposed(self) -> Self {
        MatRef { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn cols(&self) -> usize {
        self.cols
    }

    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    pub fn col_stride(&self) -> usize {
        self.col_stride
    }

    /// The element at `(row, col)`.
    ///
    /// # Panics
    /// If it lies outside.
    pub fn at(&self, row: usize, col: usize) -> T {
        assert!(row < self.rows && col < self.cols, "({row}, {col}) outside {}x{}", self.rows, self.cols);
        self.data[row * self.row_stride + col * self.col_stride]
    }

    /// Address of `(row, col)`; dangling, never read, if the matrix is empty.
    pub(crate) fn ptr(&self, row: usize, col: usize) -> *const T {
        self.data.as_ptr().wrapping_add(row * self.row_stride + col * self.col_stride)
    }
}

impl<'a> MatRef<'a, u32> {
    /// The same bits as `i32`: wrapping products of both are the same bits too.
    pub fn as_signed(self) -> MatRef<'a, i32> {
        // SAFETY: i32 and u32 have one size and alignment and every bit pattern is valid for both.
        let data = unsafe { std::slice::from_raw_parts(self.data.as_ptr().cast(), self.data.len()) };
        MatRef::new(data, self.rows, self.cols, self.row_stride, self.col_stride)
    }
}

impl<'a> MatRef<'a, u64> {
    /// The same bits as `i64`: wrapping products of both are the same bits too.
    pub fn as_signed(self) -> MatRef<'a, i64> {
        // SAFETY: i64 and u64 have one size and alignment and every bit pattern is valid for both.
        let data = unsafe { std::slice::from_raw_parts(self.data.as_ptr().cast(), self.data.len()) };
        MatRef::new(data, self.rows, self.cols, self.row_stride, self.col_stride)
    }
}

/// A matrix to write, rows contiguous: element `(i, j)` is `data[i * row_stride + j]`. Rows never overlap.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    ptr: *mut T,
    rows: usize,
    cols: usize,
    row_stride: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a MatMut is the only access to its elements, like the `&mut [T]` it came from.
unsafe impl<T: Send> Send for MatMut<'_, T> {}
// SAFETY: `&MatMut` gives no access to elements but through the unsafe `shared_block`.
unsafe impl<T: Sync> Sync for MatMut<'_, T> {}

impl<'a, T> MatMut<'a, T> {
    /// # Panics
    /// If the last element lies beyond `data`, or rows overlap.
    pub fn new(data: &'a mut [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        let reach = extent(rows, cols, row_stride, 1);
        assert!(
            reach.is_some_and(|n| n <= data.len()),
            "matrix {rows}x{cols} reaches beyond its {} elements",
            data.len()
        );
        assert!(rows <= 1 || row_stride >= cols, "rows of {cols} elements overlap at stride {row_stride}");
        MatMut { ptr: data.as_mut_ptr(), rows, cols, row_stride, borrow: PhantomData }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn cols(&self) -> usize {
        self.cols
    }

    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// The sub-matrix `rows` x `cols`.
    ///
    /// # Panics
    /// If the ranges reach outside.
    pub fn block(&mut self, rows: Range<usize>, cols: Range<usize>) -> MatMut<'_, T> {
        // SAFETY: `self` stays mutably borrowed for as long as the block lives.
        unsafe { self.shared_block(rows, cols) }
    }

    /// As [`MatMut::block`], from a shared reference, so that several threads can write their own blocks.
    ///
    /// # Panics
    /// If the ranges reach outside.
    ///
    /// # Safety
    /// Blocks alive at one time do not overlap.
    pub unsafe fn shared_block(&self, rows: Range<usize>, cols: Range<usize>) -> MatMut<'a, T> {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} outside {}", self.rows);
        assert!(cols.start <= cols.end && cols.end <= self.cols, "columns {cols:?} outside {}", self.cols);
        let ptr = self.ptr(rows.start, cols.start);
        MatMut { ptr, rows: rows.len(), cols: cols.len(), row_stride: self.row_stride, borrow: PhantomData }
    }

    /// One row.
    ///
    /// # Panics
    /// If it lies outside.
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: the row lies in the matrix, whose only access this is.
        unsafe { std::slice::from_raw_parts_mut(self.ptr(row, 0), self.cols) }
    }

    /// A column whose elements follow each other, as a row.
    pub(crate) fn column_as_row(self) -> Self {
        debug_assert!(self.cols == 1 && self.row_stride == 1);
        MatMut { rows: 1, cols: self.rows, row_stride: self.rows, ..self }
    }

    /// Address of `(row, col)`; dangling, never accessed, if the matrix is empty.
    pub(crate) fn ptr(&self, row: usize, col: usize) -> *mut T {
        self.ptr.wrapping_add(row * self.row_stride + col)
    }
}

impl<'a> MatMut<'a, u32> {
    /// The same bits as `i32`.
    pub fn as_signed(self) -> MatMut<'a, i32> {
        MatMut {
            ptr: self.ptr.cast(),
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
            borrow: PhantomData,
        }
    }
}

impl<'a> MatMut<'a, u64> {
    /// The same bits as `i64`.
    pub fn as_signed(self) -> MatMut<'a, i64> {
        MatMut {
            ptr: self.ptr.cast(),
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
            borrow: PhantomData,
        }
    }
}
