//! Lock files: text to [`Lock`], with errors that mark the place.
