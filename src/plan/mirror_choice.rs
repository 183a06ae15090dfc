//! The rule for the mirror that is read, if this clone knows several: its own branch, and those of remotes as last
//! fetched.

/// What the rule has to know about mirrors. Finding out can be expensive, so the rule asks only what it needs.
pub trait MirrorFacts {
    /// A mirror.
    type Mirror;
    /// The error of a mirror that cannot be read.
    type Error;

    /// Returns whether a mirror has everything that the locks in force need.
    ///
    /// # Errors
    /// Fails if the mirror cannot be read.
    fn is_fresh(&mut self, mirror: &Self::Mirror) -> Result<bool, Self::Error>;

    /// Returns whether a mirror is newer than another one.
    ///
    /// # Errors
    /// Fails if a commit cannot be read.
    fn is_newer(&mut self, mirror: &Self::Mirror, than: &Self::Mirror) -> Result<bool, Self::Error>;
}

/// Chooses the mirror to read: the local one if it has everything; else the first of the remotes' that has everything;
/// else the newer one of the local and the first remote's that can be read. `None` if there is none.
///
/// # Errors
/// Fails if the local mirror cannot be read, or if there is none and the remotes' cannot be listed. A remote's mirror that cannot be read counts as one that lacks something.
pub fn mirror_to_read<F: MirrorFacts>(
    local: Option<F::Mirror>,
    remotes: impl FnOnce() -> Result<Vec<F::Mirror>, F::Error>,
    facts: &mut F,
) -> Result<Option<F::Mirror>, F::Error> {
    if let Some(mirror) = &local
        && facts.is_fresh(mirror)?
    {
        return Ok(local);
    }
    // A broken ref of a remote does not matter if there is a local mirror.
    let remotes = match remotes() {
        Err(_) if local.is_some() => Vec::new(),
        remotes => remotes?,
    };
    let (mut fresh, mut readable) = (None, None);
    for (index, remote) in remotes.iter().enumerate() {
        match facts.is_fresh(remote) {
            Ok(true) => {
                fresh = Some(index);
                break;
            }
            Ok(false) => readable = readable.or(Some(index)),
            Err(_) => {}
        }
    }
    let Some(local) = local else {
        // If no remote's can be read, reading the first one tells why.
        return Ok(remotes.into_iter().nth(fresh.or(readable).unwrap_or(0)));
    };
    let better = match (fresh, readable) {
        (None, Some(index)) if !facts.is_newer(&remotes[index], &local).unwrap_or(false) => None,
        (fresh, readable) => fresh.or(readable),
    };
    Ok(Some(better.and_then(|index| remotes.into_iter().nth(index)).unwrap_or(local)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mirror by name, its date, and whether it has everything. `None` if it cannot be read.
    type Known = (&'static str, u32, Option<bool>);

    /// The local mirror, those of remotes, the chosen one, and those that the rule asks about.
    type Case = (Option<Known>, &'static [Known], Result<Option<&'static str>, &'static str>, &'static [&'static str]);

    #[derive(Default)]
    struct Table {
        asked: Vec<&'static str>,
    }

    impl MirrorFacts for Table {
        type Mirror = Known;
        type Error = &'static str;

        fn is_fresh(&mut self, (name, _, fresh): &Known) -> Result<bool, &'static str> {
            self.asked.push(name);
            fresh.ok_or("damaged")
        }

        fn is_newer(&mut self, mirror: &Known, than: &Known) -> Result<bool, &'static str> {
            Ok(mirror.1 > than.1)
        }
    }

    #[test]
    fn the_local_mirror_is_read_unless_another_one_is_better() {
        const FRESH: Option<bool> = Some(true);
        const STALE: Option<bool> = Some(false);
        let cases: [Case; 14] = [
            (None, &[], Ok(None), &[]),
            (Some(("local", 1, FRESH)), &[], Ok(Some("local")), &["local"]),
            (Some(("local", 1, STALE)), &[], Ok(Some("local")), &["local"]),
            // A fresh local mirror is read even if a remote's is newer, which is not even looked at.
            (Some(("local", 1, FRESH)), &[("origin", 2, FRESH)], Ok(Some("local")), &["local"]),
            (Some(("local", 2, STALE)), &[("origin", 1, FRESH)], Ok(Some("origin")), &["local", "origin"]),
            (None, &[("origin", 1, STALE)], Ok(Some("origin")), &["origin"]),
            (None, &[("origin", 1, STALE), ("fork", 1, FRESH)], Ok(Some("fork")), &["origin", "fork"]),
            // Neither has everything.
            (Some(("local", 2, STALE)), &[("origin", 1, STALE)], Ok(Some("local")), &["local", "origin"]),
            (Some(("local", 1, STALE)), &[("origin", 1, STALE)], Ok(Some("local")), &["local", "origin"]),
            (Some(("local", 1, STALE)), &[("origin", 2, STALE)], Ok(Some("origin")), &["local", "origin"]),
            // A mirror that cannot be read.
            (Some(("local", 1, None)), &[("origin", 2, FRESH)], Err("damaged"), &["local"]),
            (Some(("local", 1, STALE)), &[("origin", 2, None)], Ok(Some("local")), &["local", "origin"]),
            (None, &[("origin", 1, None)], Ok(Some("origin")), &["origin"]),
            (None, &[("origin", 1, None), ("fork", 1, STALE)], Ok(Some("fork")), &["origin", "fork"]),
        ];
        for (local, remotes, expected, asked) in cases {
            let mut table = Table::default();
            let chosen = mirror_to_read(local, || Ok(remotes.to_vec()), &mut table);
            assert_eq!(chosen.map(|chosen| chosen.map(|(name, ..)| name)), expected, "{local:?} {remotes:?}");
            assert_eq!(table.asked, asked, "{local:?} {remotes:?}");
        }
    }
}
