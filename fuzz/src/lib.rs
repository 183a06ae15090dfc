//! The entry points of the fuzz targets. The package's `tests/formats/fuzz` uses the same oracles.

pub mod oracles;
