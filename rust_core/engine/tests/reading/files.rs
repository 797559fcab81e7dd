//! All models in a folder, such as the data of ONNX's backend suite: set `ONNX_TEST_DATA` and run with `--ignored`.

use std::path::{Path, PathBuf};

use diptych_engine::onnx::read_path;

fn models(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            models(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "onnx") {
            found.push(path);
        }
    }
}

#[test]
#[ignore = "needs a folder of models in ONNX_TEST_DATA"]
fn every_model_of_a_folder_is_read() {
    let folder = std::env::var_os("ONNX_TEST_DATA").expect("ONNX_TEST_DATA names a folder of models");
    let mut found = Vec::new();
    models(Path::new(&folder), &mut found);
    assert!(!found.is_empty());
    let failed: Vec<_> = found.iter().filter_map(|path| read_path(path).err()).map(|e| e.to_string()).collect();
    assert!(failed.is_empty(), "{} of {} models:\n{}", failed.len(), found.len(), failed.join("\n"));
    println!("{} models read", found.len());
}
