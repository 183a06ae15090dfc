//! git's input to `pre-push`: one line `LOCAL-REF LOCAL-ID REMOTE-REF REMOTE-ID` per ref.

/// A ref that git is about to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedRef {
    /// The local ref, or another expression that names the object; `(delete)` for a deletion.
    pub local_ref: String,
    /// The pushed object, in hexadecimal; `None` for a deletion.
    pub local: Option<String>,
    /// The ref on the remote.
    pub remote_ref: String,
    /// The object that the remote ref points to; `None` if the remote ref does not exist.
    pub remote: Option<String>,
}

/// Parses the input. Lines of another form are skipped, because a push must not fail if a later version of git adds
/// something.
pub fn parse(input: &str) -> Vec<PushedRef> {
    let object = |id: &str| (!id.bytes().all(|digit| digit == b'0')).then(|| id.to_owned());
    let line = |line: &str| {
        // The local side can be any expression and contain spaces; the other three fields cannot.
        let mut fields = line.rsplitn(4, ' ');
        let (remote, remote_ref, local, local_ref) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(PushedRef {
            local_ref: local_ref.to_owned(),
            local: object(local),
            remote_ref: remote_ref.to_owned(),
            remote: object(remote),
        })
    };
    input.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_deletions_and_new_refs() {
        let (one, two, zero) = ("1".repeat(40), "2".repeat(40), "0".repeat(40));
        let input = format!(
            "refs/heads/main {one} refs/heads/main {two}\n(delete) {zero} refs/heads/old {two}\nHEAD~1 {one} refs/heads/new {zero}\nnonsense\n"
        );
        let refs = parse(&input);
        assert_eq!(refs.len(), 3);
        assert_eq!((refs[0].local.as_ref(), refs[0].remote.as_ref()), (Some(&one), Some(&two)));
        assert_eq!((refs[1].local.as_ref(), refs[1].remote_ref.as_str()), (None, "refs/heads/old"));
        assert_eq!((refs[2].local_ref.as_str(), refs[2].remote.as_ref()), ("HEAD~1", None));
    }
}
