//! The languages that are highlighted, as far as [`super::highlight`] tells them apart.

/// What the comments, strings and words of a language look like.
#[derive(Debug)]
pub struct Language {
    /// The endings of files' names after the last dot, or whole names.
    files: &'static [&'static str],
    /// The beginnings of comments that end with the line.
    pub(super) line_comments: &'static [&'static str],
    /// The beginning and the end of longer comments.
    pub(super) block_comment: Option<[&'static str; 2]>,
    /// The delimiters of strings, longer ones first.
    pub(super) strings: &'static [Delimiter],
    /// The words of the language itself.
    pub(super) keywords: &'static [&'static str],
    /// The family, for what the above does not describe.
    pub(super) family: Family,
}

/// The delimiter of strings, before and after them.
#[derive(Debug)]
pub(super) struct Delimiter {
    pub text: &'static str,
    /// Whether a string can continue on the next line.
    pub spans_lines: bool,
}

/// Languages whose words look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `:atom`, `key:`, `@attribute`, `Alias`, `~s(sigil)`, `?c`, `#{interpolation}`.
    Elixir,
    /// `'atom'`, `-attribute`, `Variable`, `$c`.
    Erlang,
    /// `Type`.
    Other,
}

const fn line(text: &'static str) -> Delimiter {
    Delimiter { text, spans_lines: false }
}

const fn lines(text: &'static str) -> Delimiter {
    Delimiter { text, spans_lines: true }
}

const OTHER: Language = Language {
    files: &[],
    line_comments: &["//"],
    block_comment: Some(["/*", "*/"]),
    strings: &[line("\""), line("'")],
    keywords: &[],
    family: Family::Other,
};

const LANGUAGES: &[Language] = &[
    Language {
        files: &["ex", "exs", "mix.lock"],
        line_comments: &["#"],
        block_comment: None,
        strings: &[lines("\"\"\""), lines("'''"), lines("\""), lines("'")],
        keywords: &[
            "after",
            "alias",
            "and",
            "case",
            "catch",
            "cond",
            "def",
            "defdelegate",
            "defexception",
            "defguard",
            "defguardp",
            "defimpl",
            "defmacro",
            "defmacrop",
            "defmodule",
            "defoverridable",
            "defp",
            "defprotocol",
            "defstruct",
            "do",
            "else",
            "end",
            "false",
            "fn",
            "for",
            "if",
            "import",
            "in",
            "nil",
            "not",
            "or",
            "quote",
            "raise",
            "receive",
            "require",
            "rescue",
            "super",
            "throw",
            "true",
            "try",
            "unless",
            "unquote",
            "unquote_splicing",
            "use",
            "when",
            "with",
        ],
        family: Family::Elixir,
    },
    Language {
        files: &["erl", "hrl", "xrl", "yrl", "src", "escript", "config", "script", "app", "rebar.lock"],
        line_comments: &["%"],
        block_comment: None,
        strings: &[lines("\"\"\""), lines("\""), line("'")],
        keywords: &[
            "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case", "catch", "div",
            "else", "end", "fun", "if", "maybe", "not", "of", "or", "orelse", "receive", "rem", "try", "when", "xor",
        ],
        family: Family::Erlang,
    },
    Language {
        files: &["gleam"],
        block_comment: None,
        strings: &[lines("\"")],
        keywords: &[
            "as", "assert", "auto", "case", "const", "echo", "external", "fn", "if", "import", "let", "opaque",
            "panic", "pub", "todo", "type", "use",
        ],
        ..OTHER
    },
    Language {
        files: &["c", "h", "cc", "cpp", "cxx", "hpp", "m", "cu", "zig", "proto"],
        keywords: &[
            "auto",
            "bool",
            "break",
            "case",
            "char",
            "class",
            "const",
            "continue",
            "default",
            "delete",
            "do",
            "double",
            "else",
            "enum",
            "extern",
            "float",
            "for",
            "goto",
            "if",
            "inline",
            "int",
            "long",
            "message",
            "namespace",
            "new",
            "private",
            "public",
            "return",
            "short",
            "signed",
            "sizeof",
            "static",
            "struct",
            "switch",
            "template",
            "this",
            "typedef",
            "union",
            "unsigned",
            "using",
            "virtual",
            "void",
            "volatile",
            "while",
            "#define",
            "#else",
            "#endif",
            "#if",
            "#ifdef",
            "#ifndef",
            "#include",
            "#pragma",
            "#undef",
        ],
        ..OTHER
    },
    Language {
        files: &["rs"],
        strings: &[lines("\"")],
        keywords: &[
            "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern", "false",
            "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return",
            "self", "static", "struct", "super", "trait", "true", "type", "unsafe", "use", "where", "while",
        ],
        ..OTHER
    },
    Language {
        files: &["js", "mjs", "cjs", "ts", "jsx", "tsx", "json"],
        strings: &[lines("`"), line("\""), line("'")],
        keywords: &[
            "async",
            "await",
            "break",
            "case",
            "catch",
            "class",
            "const",
            "continue",
            "default",
            "delete",
            "do",
            "else",
            "export",
            "extends",
            "false",
            "finally",
            "for",
            "from",
            "function",
            "if",
            "import",
            "in",
            "instanceof",
            "interface",
            "let",
            "new",
            "null",
            "of",
            "return",
            "static",
            "super",
            "switch",
            "this",
            "throw",
            "true",
            "try",
            "type",
            "typeof",
            "undefined",
            "var",
            "void",
            "while",
            "yield",
        ],
        ..OTHER
    },
    Language { files: &["css", "scss"], line_comments: &[], ..OTHER },
    Language {
        files: &["py"],
        line_comments: &["#"],
        block_comment: None,
        strings: &[lines("\"\"\""), lines("'''"), line("\""), line("'")],
        keywords: &[
            "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
            "except", "False", "finally", "for", "from", "if", "import", "in", "is", "lambda", "None", "not", "or",
            "pass", "raise", "return", "True", "try", "while", "with", "yield",
        ],
        ..OTHER
    },
    Language {
        files: &["sh", "bash", "mk", "Makefile", "Dockerfile", "toml", "yml", "yaml", "cmake"],
        line_comments: &["#"],
        block_comment: None,
        keywords: &[
            "case", "do", "done", "elif", "else", "endif", "esac", "exit", "export", "false", "fi", "for", "function",
            "if", "ifeq", "ifneq", "ifdef", "in", "include", "local", "return", "set", "then", "true", "while",
        ],
        ..OTHER
    },
    Language {
        files: &["html", "htm", "eex", "leex", "heex", "xml", "svg"],
        line_comments: &[],
        block_comment: Some(["<!--", "-->"]),
        strings: &[line("\"")],
        ..OTHER
    },
];

impl Language {
    /// Returns the language of a file, or `None` if files with such a name are not highlighted.
    pub fn of(path: &str) -> Option<&'static Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let is_whole_name = |file: &str| file.contains(|c: char| c == '.' || c.is_ascii_uppercase());
        let has = |file: &str| ending.as_deref() == Some(file) || is_whole_name(file) && file == name;
        LANGUAGES.iter().find(|language| language.files.iter().any(|file| has(file)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_their_names() {
        for (path, keyword) in [
            ("lib/plug/conn.ex", Some("defmodule")),
            ("mix.lock", Some("defmodule")),
            ("src/cow_http.erl", Some("andalso")),
            ("src/ranch.app.src", Some("andalso")),
            ("c_src/Makefile", Some("ifeq")),
            ("NIF.C", Some("typedef")),
            ("a.ex/README", None),
            ("ex", None),
            ("LICENSE", None),
            ("", None),
        ] {
            let found = Language::of(path).map(|language| language.keywords);
            assert_eq!(found.is_some(), keyword.is_some(), "{path}");
            assert!(keyword.is_none_or(|keyword| found.is_some_and(|known| known.contains(&keyword))), "{path}");
        }
    }
}
