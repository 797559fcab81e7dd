//! One error type for the engine: what went wrong, where, and of which kind.

use std::fmt;

/// What class of thing went wrong: it decides the Python exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The file or the graph breaks ONNX's rules.
    InvalidModel,
    /// A file that the model needs is missing or may not be read.
    Io,
    /// A valid operator, version, type or attribute that this engine does not have.
    Unsupported,
    /// An argument of `run` has the wrong name, type or shape; or an option has a wrong value.
    InvalidInput,
    /// A value has a type that its operator's signature does not allow.
    InvalidType,
    /// Shapes or values met at run time do not fit an operator.
    Shape,
    /// A memory or work budget would be passed.
    ResourceLimit,
    /// The run was cancelled by its owner.
    Cancelled,
    /// The run passed its deadline.
    DeadlineExceeded,
    /// An operator that a user registered failed.
    Custom,
    /// A fault of this engine.
    Internal,
}

/// An error with its place in the model.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    /// Innermost first: `node 'conv1' (Conv)`, `graph 'main'`, `model '/tmp/a.onnx'`.
    places: Vec<String>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner { kind, message: message.into(), places: Vec::new() }))
    }

    pub fn invalid_model(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidModel, message)
    }

    pub fn unsupported(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unsupported, message)
    }

    pub fn invalid_input(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidInput, message)
    }

    pub fn shape(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Shape, message)
    }

    pub fn resource_limit(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::ResourceLimit, message)
    }

    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, message)
    }

    /// Adds an enclosing place, such as `node 'conv1' (Conv)`.
    pub fn at(mut self, place: impl Into<String>) -> Error {
        self.0.places.push(place.into());
        self
    }

    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn places(&self) -> &[String] {
        &self.0.places
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.0.places.iter().rev() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

/// Adds the place to the error of a result.
pub trait Context<T> {
    fn at(self, place: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn at(self, place: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.at(place()))
    }
}
