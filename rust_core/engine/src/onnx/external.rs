//! External data: tensors whose bytes lie in files beside the model.
//!
//! A model is data from somewhere else, so a location is followed only inside the model's folder, to regular files.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};

use super::proto::StringStringEntryProto;

/// Maps a regular file into memory, read only.
pub(super) fn map_file(path: &Path) -> Result<Bytes> {
    let io = |error: std::io::Error| Error::new(ErrorKind::Io, format!("cannot read '{}': {error}", path.display()));
    let file = open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Io, format!("'{}' is not a regular file", path.display())));
    }
    if metadata.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the map is private to this process and never written. That nobody else truncates the file while the model
    // lives is the caller's part, stated at `read_path`.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
    Ok(Bytes::from_owner(map))
}

/// Opens for reading. Not blocking, so that a FIFO put in a file's place is refused, not waited for.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY);
    }
    options.open(path)
}

/// The folder in which a model's external data may lie, and its files mapped so far.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Canonical folders in which a file must lie once its links are followed.
    roots: Vec<PathBuf>,
    files: HashMap<PathBuf, Bytes>,
}

impl Folder {
    pub fn new(path: &Path) -> Result<Folder> {
        let root = canonical(path)?;
        Ok(Folder { path: path.into(), roots: vec![root], files: HashMap::new() })
    }

    /// The folder of a model file. Where the file is itself a link (as in caches that keep contents by hash), the folder
    /// of its target counts as well.
    pub fn of_model(model: &Path) -> Result<Folder> {
        let parent = model.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut folder = Folder::new(parent)?;
        if let Some(target) = canonical(model)?.parent()
            && !folder.roots.iter().any(|root| root == target)
        {
            folder.roots.push(target.into());
        }
        Ok(folder)
    }

    /// The `want` bytes that the entries of `TensorProto.external_data` describe.
    pub fn data(&mut self, entries: &[StringStringEntryProto], want: usize) -> Result<Bytes> {
        let reference = Reference::read(entries)?;
        let file = self.file(reference.location)?;
        if reference.length.is_some_and(|length| length != want) {
            return Err(Error::invalid_model(format!(
                "external data of length {} for a tensor of {want} bytes",
                reference.length.unwrap_or_default()
            )));
        }
        let range = reference.offset..reference.offset.saturating_add(want);
        if range.end > file.len() || reference.offset.checked_add(want).is_none() {
            return Err(Error::invalid_model(format!(
                "external data at offset {} of length {want} passes the end of '{}', which has {} bytes",
                reference.offset,
                reference.location,
                file.len()
            )));
        }
        Ok(file.slice(range))
    }

    /// The mapped file at a location, if that is inside the folder.
    fn file(&mut self, location: &str) -> Result<Bytes> {
        check_location(location)?;
        let path = canonical(&self.path.join(location))?;
        if !self.roots.iter().any(|root| path.starts_with(root)) {
            return Err(Error::invalid_model(format!(
                "external data at '{location}' leads out of the model's folder, to '{}'",
                path.display()
            )));
        }
        if let Some(bytes) = self.files.get(&path) {
            return Ok(bytes.clone());
        }
        let bytes = map_file(&path)?;
        self.files.insert(path, bytes.clone());
        Ok(bytes)
    }
}

/// A tensor's `external_data` entries. A `checksum` is not verified, and unknown keys are left to their writers.
struct Reference<'a> {
    location: &'a str,
    offset: usize,
    length: Option<usize>,
}

impl<'a> Reference<'a> {
    fn read(entries: &'a [StringStringEntryProto]) -> Result<Reference<'a>> {
        let (mut location, mut offset, mut length) = (None, None, None);
        for entry in entries {
            let value = entry.value.as_deref().unwrap_or_default();
            let twice = match entry.key.as_deref() {
                Some("location") => location.replace(value).is_some(),
                Some("offset") => offset.replace(number("offset", value)?).is_some(),
                Some("length") => length.replace(number("length", value)?).is_some(),
                _ => false,
            };
            if twice {
                let key = entry.key.as_deref().unwrap_or_default();
                return Err(Error::invalid_model(format!("external data gives its {key} twice")));
            }
        }
        let location = location.ok_or_else(|| Error::invalid_model("external data without a location"))?;
        Ok(Reference { location, offset: offset.unwrap_or(0), length })
    }
}

fn number(key: &str, text: &str) -> Result<usize> {
    text.parse()
        .map_err(|_| Error::invalid_model(format!("external data has {key} '{text}', which is no size in bytes")))
}

/// Refuses what is not a plain relative path, on any system's rules.
fn check_location(location: &str) -> Result<()> {
    let refuse = |why| Err(Error::invalid_model(format!("external data at '{location}': {why}")));
    let bytes = location.as_bytes();
    if location.is_empty() || location.contains('\0') {
        return refuse("not a file name");
    }
    if location.contains("://") {
        return refuse("a URL; only files in the model's folder are read");
    }
    if matches!(bytes[0], b'/' | b'\\') || (bytes.len() > 1 && bytes[1] == b':' && bytes[0].is_ascii_alphabetic()) {
        return refuse("an absolute path; only files in the model's folder are read");
    }
    if location.split(['/', '\\']).any(|part| part == "..") {
        return refuse("the path leads upwards; only files in the model's folder are read");
    }
    Ok(())
}

fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| Error::new(ErrorKind::Io, format!("cannot find '{}': {error}", path.display())))
}
