//! The Diptych engine.
