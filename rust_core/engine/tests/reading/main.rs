//! Reading models: what must be read, how, and what must be refused without harm.

mod build;
mod external;
mod files;
mod functions;
mod graphs;
mod hostile;
mod tensors;
