//! What the fuzz targets call. The oracles are shared with `tests/fuzz` of the package.

pub mod oracles;
