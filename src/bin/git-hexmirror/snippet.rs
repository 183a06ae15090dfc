pub fn render(error: &git_hexmirror::lock::LockError, file: &str, source: &str, _color: bool) -> String {
    let (l, c) = error.line_column(source);
    format!("error: {error}\n --> {file}:{l}:{c}\n")
}
