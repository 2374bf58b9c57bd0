//! "Did you mean": the nearest of the names that would have been right.

/// The known name that is most like `name`, if any is like it.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // The name may come from a stranger's manifest; the measure takes time in proportion to both lengths.
    if name.len() > 128 {
        return None;
    }
    // One slip in three letters.
    let slips = |candidate: &str| name.chars().count().max(candidate.chars().count()) / 3;
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= slips(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A name as an error quotes it: at most 80 characters, and none that moves a terminal's cursor.
pub fn quoted(name: &str) -> String {
    let mut out: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    if name.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        assert_eq!(nearest("permision", ["limits", "permissions", "name"]), Some("permissions"));
        assert_eq!(nearest("memory_mb", ["memory_mib", "fuel"]), Some("memory_mib"));
        assert_eq!(nearest("ulr", ["tries", "url"]), Some("url"));
        assert_eq!(nearest("zzz", ["limits", "permissions"]), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), ["x"]), None);
    }

    #[test]
    fn a_quoted_name_is_short_and_harmless() {
        assert_eq!(quoted("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(quoted(&"é".repeat(100)).chars().count(), 81);
    }
}
