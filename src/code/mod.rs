//! Source code as people read it: decoded, highlighted and compared. Pure: bytes in, positions out. Everything that it is given
//! is hostile, so all work is bounded.
//!
//! | file | responsibility |
//! |---|---|
//! | `text` | bytes to lines of text, and whether they are text at all |
//! | `language` | the languages that are highlighted |
//! | `highlight` | where the comments, strings, keywords and so on of a text are |
//! | `diff` | the lines that differ between two texts |
//! | `words` | the words that differ between two groups of lines |

mod diff;
mod highlight;
mod language;
mod text;
mod words;

pub use diff::{Block, Diff, Hunk};
pub use highlight::{Class, Token, highlight};
pub use language::Language;
pub use text::{Content, Text};
pub use words::{MarkedLines, marks};
