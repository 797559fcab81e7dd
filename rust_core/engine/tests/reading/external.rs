//! External data: read inside the model's folder, nowhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use diptych_engine::error::{ErrorKind, Result};
use diptych_engine::graph::Model;
use diptych_engine::onnx::proto::*;
use diptych_engine::onnx::{read_bytes, read_path};

use crate::build::*;

/// A folder that goes away with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("diptych-reading-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("inside")).unwrap();
        Folder(path)
    }

    /// A model in `inside/` whose weight of two floats has these entries.
    fn read(&self, entries: &[(&str, &str)]) -> Result<Model> {
        let path = self.0.join("inside/model.onnx");
        fs::write(&path, encode(&external(entries))).unwrap();
        read_path(&path)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind in the system's temporary place harms nobody.
        drop(fs::remove_dir_all(&self.0));
    }
}

fn external(entries: &[(&str, &str)]) -> ModelProto {
    let entry =
        |&(key, value): &(&str, &str)| StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) };
    let mut proto = graph(&[], vec![], &["w"]);
    proto.initializer = vec![TensorProto {
        name: Some("w".into()),
        dims: vec![2],
        data_type: Some(1),
        data_location: Some(1),
        external_data: entries.iter().map(entry).collect(),
        ..TensorProto::default()
    }];
    model(proto)
}

fn bytes(model: &Model) -> &[u8] {
    model.graph.constant(0).unwrap().as_dense().unwrap().bytes()
}

#[test]
fn data_is_mapped_at_its_offset() {
    let folder = Folder::new();
    folder.write("inside/data", &(0..32).collect::<Vec<u8>>());
    let model = folder.read(&[("location", "data"), ("offset", "4"), ("length", "8"), ("checksum", "?")]).unwrap();
    assert_eq!(bytes(&model), [4, 5, 6, 7, 8, 9, 10, 11]);
    assert!(model.graph.constant(0).unwrap().as_dense().unwrap().is_mapped());
    assert_eq!(bytes(&folder.read(&[("location", "./data")]).unwrap())[0], 0);
    assert_eq!(bytes(&folder.read(&[("location", "data"), ("offset", "24")]).unwrap())[7], 31);
}

#[test]
fn wrong_ranges_are_refused() {
    let folder = Folder::new();
    folder.write("inside/data", &[0; 32]);
    let max = usize::MAX.to_string();
    invalid(folder.read(&[("location", "data"), ("offset", "25")]), &["passes the end", "initializer 'w'"]);
    invalid(folder.read(&[("location", "data"), ("offset", &max)]), &["passes the end"]);
    invalid(folder.read(&[("location", "data"), ("length", &max)]), &["length"]);
    invalid(folder.read(&[("location", "data"), ("length", "4")]), &["8 bytes"]);
    invalid(folder.read(&[("location", "data"), ("offset", "-1")]), &["offset '-1'"]);
    invalid(folder.read(&[("location", "data"), ("offset", "99999999999999999999")]), &["offset"]);
    invalid(folder.read(&[("location", "data"), ("location", "data")]), &["twice"]);
    invalid(folder.read(&[("offset", "0")]), &["without a location"]);
}

#[test]
fn locations_outside_the_folder_are_refused() {
    let folder = Folder::new();
    folder.write("secret", &[0; 32]);
    let absolute = folder.0.join("secret").display().to_string();
    for location in ["../secret", "a/../../secret", "..\\secret", &absolute, "\\\\host\\x", "C:\\x", "C:x", "", "a\0b"]
    {
        invalid(folder.read(&[("location", location)]), &["external data at"]);
    }
    for location in ["http://example.com/x", "file:///etc/passwd"] {
        invalid(folder.read(&[("location", location)]), &["URL"]);
    }
    refused(folder.read(&[("location", "missing")]), ErrorKind::Io, &["missing"]);
    refused(folder.read(&[("location", ".")]), ErrorKind::Io, &["not a regular file"]);
}

#[cfg(unix)]
#[test]
fn links_may_not_lead_out_nor_to_what_is_no_file() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    folder.write("secret", &[0; 32]);
    folder.write("inside/data", &[1; 32]);
    symlink("../secret", folder.0.join("inside/leak")).unwrap();
    symlink("data", folder.0.join("inside/fine")).unwrap();
    symlink("/dev/zero", folder.0.join("inside/device")).unwrap();
    invalid(folder.read(&[("location", "leak")]), &["leads out"]);
    invalid(folder.read(&[("location", "device")]), &["leads out"]);
    assert_eq!(bytes(&folder.read(&[("location", "fine")]).unwrap())[0], 1);
    let fifo = folder.0.join("inside/fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    refused(folder.read(&[("location", "fifo")]), ErrorKind::Io, &["not a regular file"]);
    refused(read_path(&fifo), ErrorKind::Io, &["not a regular file"]);
}

/// Caches keep contents by hash and link both the model and its data to them.
#[cfg(unix)]
#[test]
fn a_linked_model_may_use_the_folder_of_its_target() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    fs::create_dir(folder.0.join("blobs")).unwrap();
    folder.write("blobs/1", &encode(&external(&[("location", "data")])));
    folder.write("blobs/2", &[3; 8]);
    symlink("../blobs/1", folder.0.join("inside/model.onnx")).unwrap();
    symlink("../blobs/2", folder.0.join("inside/data")).unwrap();
    assert_eq!(bytes(&read_path(&folder.0.join("inside/model.onnx")).unwrap()), [3; 8]);
}

#[test]
fn models_from_memory_need_a_folder() {
    let folder = Folder::new();
    folder.write("inside/data", &[9; 8]);
    let proto = external(&[("location", "data")]);
    invalid(read(&proto), &["memory", "folder"]);
    assert_eq!(bytes(&read_bytes(encode(&proto), Some(&folder.0.join("inside"))).unwrap()), [9; 8]);
}

#[test]
fn files_that_are_no_models() {
    let folder = Folder::new();
    folder.write("empty", &[]);
    invalid(read_path(&folder.0.join("empty")), &["empty", "model '"]);
    refused(read_path(&folder.0), ErrorKind::Io, &["regular file"]);
    refused(read_path(Path::new("/nowhere/at/all")), ErrorKind::Io, &["/nowhere/at/all"]);
}
