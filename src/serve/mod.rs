//! The server for Hex clients: the only place that names axum.
