//! One operation a file: composes the layers below.
