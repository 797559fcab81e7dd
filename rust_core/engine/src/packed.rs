//! The permanent arena: weights packed once for their kernels and shared by every plan of a session.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::Result;
use crate::tensor::AlignedBytes;

/// Which packed form of which initialiser: the initialiser's id, the form's name and its parameters.
pub type PackKey = (usize, &'static str, u64);

/// Packed weights by initialiser and form. One packed form of a weight exists once, whatever the number of plans.
#[derive(Default)]
pub struct PackedWeights {
    forms: Mutex<HashMap<PackKey, Arc<dyn Any + Send + Sync>>>,
    bytes: AtomicUsize,
}

impl PackedWeights {
    /// The packed form under `key`, made by `pack` (which tells its size in bytes) the first time.
    pub fn get_or_pack<T: Any + Send + Sync>(
        &self,
        key: PackKey,
        pack: impl FnOnce() -> Result<(T, usize)>,
    ) -> Result<Arc<T>> {
        // The lock is held while packing, so that two plans made at once do not pack the same weight twice.
        let mut forms = self.forms.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(found) = forms.get(&key)
            && let Ok(found) = found.clone().downcast::<T>()
        {
            return Ok(found);
        }
        let (packed, bytes) = pack()?;
        let packed = Arc::new(packed);
        forms.insert(key, packed.clone());
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(packed)
    }

    /// Packs into an aligned buffer of `bytes`.
    pub fn get_or_pack_bytes(
        &self,
        key: PackKey,
        bytes: usize,
        pack: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<Arc<AlignedBytes>> {
        self.get_or_pack(key, || {
            let mut buffer = AlignedBytes::zeroed(bytes)?;
            pack(buffer.as_mut_slice())?;
            Ok((buffer, bytes))
        })
    }

    /// Bytes of all packed forms.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}
