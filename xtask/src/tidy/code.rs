//! Rust source without its comments and texts, so that a rule about code does not trip over prose.

/// The source with every comment, string and character blanked out. Line breaks stay, so lines keep their numbers.
pub(crate) fn only(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        let blanked = if after_word { text_len(rest) } else { prefixed_text_len(rest).or_else(|| text_len(rest)) };
        let taken = match blanked.or_else(|| comment_len(rest)) {
            Some(len) => {
                out.extend(rest[..len].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
                len
            }
            None => {
                out.push(first);
                first.len_utf8()
            }
        };
        after_word = blanked.is_none() && (first.is_alphanumeric() || first == '_');
        rest = &rest[taken..];
    }
    out
}

/// Whether code, as [`only`] gives it, holds a word.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(part_of_word) && !code[at + word.len()..].starts_with(part_of_word))
}

fn comment_len(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    Some(rest.len())
}

/// A string with a prefix: raw, bytes or C.
fn prefixed_text_len(rest: &str) -> Option<usize> {
    for prefix in ["br", "cr", "r"] {
        let Some(after) = rest.strip_prefix(prefix) else { continue };
        let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
        let Some(body) = after[hashes..].strip_prefix('"') else { continue };
        let end = format!("\"{}", "#".repeat(hashes));
        let closed = body.find(&end).map_or(body.len(), |at| at + end.len());
        return Some(prefix.len() + hashes + 1 + closed);
    }
    let after = rest.strip_prefix(['b', 'c'])?;
    text_len(after).map(|len| 1 + len)
}

fn text_len(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices();
    let (_, quote) = chars.next()?;
    match quote {
        '"' => {}
        // `'a'` and `'\n'` are characters, `'a` is a lifetime.
        '\'' => {
            let (_, first) = chars.clone().next()?;
            let (_, second) = chars.clone().nth(1)?;
            if first != '\\' && second != '\'' {
                return None;
            }
        }
        _ => return None,
    }
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn leaves(source: &str, code: &str) {
        let squeezed = only(source).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed, code);
    }

    #[test]
    fn prose_goes_and_code_stays() {
        leaves("a // b\nc", "a c");
        leaves("a /* b /* c */ d */ e", "a e");
        leaves(r#"f("x \" y", z)"#, "f( , z)");
        leaves(r###"f(r#"x " y"#, br"\", b'x', c"x")"###, "f( , , , )");
        leaves(r"let c = '\''; fn f<'a>(x: &'a str, y: '{')", "let c = ; fn f<'a>(x: &'a str, y: )");
        leaves("for_var\"x\"", "for_var");
        leaves("\"open", "");
        leaves("/* open", "");
    }

    #[test]
    fn lines_keep_their_numbers() {
        assert_eq!(only("a\n/* b\nc */\nd \"e\nf\"\ng").lines().count(), 6);
    }

    #[test]
    fn a_word_is_whole() {
        assert!(has_word("x = unsafe { }", "unsafe"));
        assert!(has_word("unsafe", "unsafe"));
        assert!(!has_word("forbid(unsafe_code) not_unsafe", "unsafe"));
    }
}
