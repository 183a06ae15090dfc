//! The formats of Hex: tarballs, their recipes, registry messages, keys. Bytes to types and back, no I/O.
