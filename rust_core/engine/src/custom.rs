//! Operators that users register at run time, beside those of the families' tables.
//!
//! They are looked up after the tables, so that nothing can change what ONNX's operators mean.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::{Error, Result};
use crate::graph::Node;
use crate::operator::{BuildCx, Operator, Registry};

/// Makes an operator for a node, as a row's `build` does.
pub type CustomBuilder = Arc<dyn Fn(&BuildCx<'_>) -> Result<Box<dyn Operator>> + Send + Sync>;

/// By domain, name and since_version.
type Rows = BTreeMap<(String, String, i64), CustomBuilder>;

static ROWS: RwLock<Rows> = RwLock::new(BTreeMap::new());

/// Registers version `since` of an operator; one of the same version that was registered before is replaced.
pub fn register(domain: &str, op_type: &str, since: i64, build: CustomBuilder) -> Result<()> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    if Registry::builtin().rows().any(|row| row.domain == domain && row.op_type == op_type) {
        let message =
            format!("operator '{op_type}' of domain '{domain}' is the engine's own; register it in a domain of yours");
        return Err(Error::invalid_input(message));
    }
    if since < 1 {
        return Err(Error::invalid_input(format!("version {since} of operator '{op_type}'; versions begin at 1")));
    }
    let mut rows = ROWS.write().unwrap_or_else(PoisonError::into_inner);
    rows.insert((domain.into(), op_type.into(), since), build);
    Ok(())
}

/// The newest version of a node's operator that its opset has, and the version.
pub fn find(node: &Node) -> Option<(i64, CustomBuilder)> {
    let key = |version: i64| (node.domain.clone(), node.op_type.clone(), version);
    let rows = ROWS.read().unwrap_or_else(PoisonError::into_inner);
    let versions = rows.range((Bound::Included(key(1)), Bound::Included(key(node.opset.max(1)))));
    versions.last().map(|((_, _, since), build)| (*since, build.clone()))
}
