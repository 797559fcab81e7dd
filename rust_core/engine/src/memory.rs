//! Where the engine's bytes come from, and how many a session may hold at a time.
//!
//! Every buffer of the engine is an [`AlignedBytes`]. While a thread is inside [`MemoryBudget::enter`], what it allocates is
//! charged to that budget, and given back when it is freed or when it leaves the session as an output. So one limit covers
//! weights, arenas, outputs and whatever a loop collects, whether or not its size was known before the run.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};

/// Alignment of every buffer the engine allocates: a cache line and a zmm register.
pub const ALIGN: usize = 64;

/// Bytes that a session may hold, and those it holds.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    held: AtomicUsize,
    /// Whether the limit is the machine's, not a user's.
    by_default: bool,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<MemoryBudget>>> = const { RefCell::new(None) };
}

impl MemoryBudget {
    /// A budget of `limit` bytes, or of nine tenths of the memory that this process may use.
    pub fn new(limit: Option<usize>) -> Arc<MemoryBudget> {
        let by_default = limit.is_none();
        let limit = limit.unwrap_or_else(|| usable_memory().map_or(usize::MAX, |bytes| bytes / 10 * 9));
        Arc::new(MemoryBudget { limit, held: AtomicUsize::new(0), by_default })
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes charged now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// What this thread allocates is charged to the budget until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> Entered {
        Entered(CURRENT.with(|current| current.replace(Some(self.clone()))))
    }

    fn take(&self, bytes: usize) -> Result<()> {
        let fits = |held: usize| held.checked_add(bytes).filter(|&sum| sum <= self.limit);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map(|_| ()).map_err(|held| {
            Error::resource_limit(format!(
                "{bytes} bytes are asked for while {held} are held: more than {}",
                self.name()
            ))
        })
    }

    fn give(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The limit, for messages: where it comes from and what to do.
    pub fn name(&self) -> String {
        if self.by_default {
            format!("memory_limit={} (by default nine tenths of this machine's memory)", self.limit)
        } else {
            format!("memory_limit={}; raise the limit or give smaller inputs", self.limit)
        }
    }
}

/// See [`MemoryBudget::enter`].
#[must_use]
pub struct Entered(Option<Arc<MemoryBudget>>);

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| current.replace(before));
    }
}

/// An error if `bytes` more do not fit the budget of this thread: for what is not held in [`AlignedBytes`], such as strings.
pub fn check_room(bytes: usize) -> Result<()> {
    let budget = CURRENT.with(|current| current.borrow().clone());
    let Some(budget) = budget else { return Ok(()) };
    budget.take(bytes)?;
    budget.give(bytes);
    Ok(())
}

/// Bytes of memory that this process may use: the machine's, or its cgroup's limit if that is less.
fn usable_memory() -> Option<usize> {
    static FOUND: OnceLock<Option<usize>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let cgroup = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
            .into_iter()
            .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<usize>().ok());
        physical_memory().into_iter().chain(cgroup).min()
    })
}

#[cfg(unix)]
fn physical_memory() -> Option<usize> {
    // SAFETY: sysconf only reads a number.
    let (pages, size) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    usize::try_from(pages).ok()?.checked_mul(usize::try_from(size).ok()?).filter(|&bytes| bytes > 0)
}

#[cfg(not(unix))]
fn physical_memory() -> Option<usize> {
    None
}

/// Owned bytes, aligned to [`ALIGN`] and zeroed at birth.
pub struct AlignedBytes {
    ptr: NonNull<u8>,
    len: usize,
    budget: Option<Arc<MemoryBudget>>,
    /// Whether the budget has been given its bytes back.
    released: AtomicBool,
}

// SAFETY: the buffer is plain memory owned by the struct.
unsafe impl Send for AlignedBytes {}
// SAFETY: shared references only read.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    /// `len` zeroed bytes. Refuses, rather than aborts, if the thread's budget or the allocator does.
    pub fn zeroed(len: usize) -> Result<AlignedBytes> {
        let released = AtomicBool::new(false);
        if len == 0 {
            return Ok(AlignedBytes { ptr: NonNull::<u64>::dangling().cast(), len: 0, budget: None, released });
        }
        let layout = Self::layout(len)?;
        let budget = CURRENT.with(|current| current.borrow().clone());
        if let Some(budget) = &budget {
            budget.take(len)?;
        }
        // SAFETY: the layout has a non-zero size.
        let Some(ptr) = NonNull::new(unsafe { alloc_zeroed(layout) }) else {
            if let Some(budget) = &budget {
                budget.give(len);
            }
            return Err(Error::resource_limit(format!("the machine has no {len} bytes left")));
        };
        Ok(AlignedBytes { ptr, len, budget, released })
    }

    fn layout(len: usize) -> Result<Layout> {
        Layout::from_size_align(len, ALIGN)
            .map_err(|_| Error::resource_limit(format!("{len} bytes are more than can be addressed")))
    }

    /// The session no longer answers for these bytes: they are its caller's.
    pub fn release(&self) {
        if let Some(budget) = &self.budget
            && !self.released.swap(true, Ordering::Relaxed)
        {
            budget.give(self.len);
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: ptr is valid for len initialised bytes.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }

    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }
}

impl Drop for AlignedBytes {
    fn drop(&mut self) {
        self.release();
        if self.len > 0
            && let Ok(layout) = Self::layout(self.len)
        {
            // SAFETY: allocated in `zeroed` with this very layout.
            unsafe { dealloc(self.ptr.as_ptr(), layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_holds_what_is_alive_and_was_not_handed_out() {
        let budget = MemoryBudget::new(Some(1000));
        let entered = budget.enter();
        let (first, second) = (AlignedBytes::zeroed(400).unwrap(), AlignedBytes::zeroed(600).unwrap());
        assert_eq!(budget.held(), 1000);
        assert!(AlignedBytes::zeroed(1).is_err() && check_room(1).is_err());
        drop(first);
        second.release();
        second.release();
        assert_eq!(budget.held(), 0);
        assert!(AlignedBytes::zeroed(1001).is_err());
        assert!(AlignedBytes::zeroed(usize::MAX).is_err());
        drop(entered);
        assert_eq!(AlignedBytes::zeroed(5000).unwrap().len(), 5000);
        drop(second);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn budgets_nest() {
        let (outer, inner) = (MemoryBudget::new(Some(100)), MemoryBudget::new(None));
        let _outside = outer.enter();
        let inside = inner.enter();
        let bytes = AlignedBytes::zeroed(200).unwrap();
        assert_eq!((outer.held(), inner.held()), (0, 200));
        drop(inside);
        assert!(AlignedBytes::zeroed(200).is_err());
        drop(bytes);
        assert_eq!(inner.held(), 0);
    }
}
