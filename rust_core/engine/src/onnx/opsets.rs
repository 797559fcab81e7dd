//! Which operator set version of each domain a model or a function imports.

use std::collections::HashMap;

use crate::error::{Error, Result};

use super::normal_domain;
use super::proto::OperatorSetIdProto;

/// Versions of ONNX's own domain that the engine knows.
const FIRST: i64 = 1;
pub(super) const LATEST: i64 = 28;

/// The imported versions by domain.
#[derive(Debug, Default)]
pub(super) struct Opsets {
    versions: HashMap<String, i64>,
}

impl Opsets {
    /// Checks and collects imports; also gives them in file order. A domain may be listed twice with one version.
    pub fn read(imports: &[OperatorSetIdProto]) -> Result<(Opsets, Vec<(String, i64)>)> {
        let mut opsets = Opsets::default();
        let mut order = Vec::new();
        for import in imports {
            let domain = normal_domain(import.domain.as_deref().unwrap_or_default());
            let version = import.version.unwrap_or_default();
            if domain.is_empty() && !(FIRST..=LATEST).contains(&version) {
                return Err(Error::unsupported(format!(
                    "opset {version} of ai.onnx: this engine knows {FIRST} to {LATEST}"
                )));
            }
            match opsets.versions.insert(domain.into(), version) {
                None => order.push((domain.into(), version)),
                Some(other) if other == version => {}
                Some(other) => {
                    return Err(Error::invalid_model(format!(
                        "opset imports of domain '{domain}' disagree: {other} and {version}"
                    )));
                }
            }
        }
        Ok((opsets, order))
    }

    /// The imported version of a (normal) domain.
    pub fn version(&self, domain: &str) -> Result<i64> {
        self.versions.get(domain).copied().ok_or_else(|| {
            let shown = if domain.is_empty() { "ai.onnx" } else { domain };
            Error::invalid_model(format!("no opset of its domain '{shown}' is imported"))
        })
    }
}
