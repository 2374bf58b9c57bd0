//! Texts of a skill on a page.
//!
//! Invariant: nothing that a skill, an event or a reply says reaches the page but through [`escaped`]. The page has no
//! script, and forbids any.

/// How much of one argument or reply is on the page, in bytes.
const MOST: usize = 32 << 10;

/// A text that is text wherever it stands in HTML: between tags, or in an attribute in quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(char),
            // Turns the direction of what follows it, and so what a reader believes to read.
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => out.extend(char.escape_unicode()),
            char if char.is_control() => out.extend(char.escape_unicode()),
            char => out.push(char),
        }
    }
    out
}

/// Bytes as a block of text, up to a length.
pub(super) fn block(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    let more = bytes.len().saturating_sub(MOST);
    let more = if more > 0 { format!("<p class=\"note\">… and {more} more bytes</p>") } else { String::new() };
    format!("<pre>{}</pre>{more}", escaped(&shown))
}

/// The beginning of some bytes, on one line.
pub(super) fn line(bytes: &[u8]) -> String {
    const LINE: usize = 80;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LINE)]).replace(['\n', '\t'], " ");
    format!("{}{}", escaped(&text), if bytes.len() > LINE { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(
            escaped("<b title='\"&'>\u{0}\u{202E}é\n"),
            "&lt;b title=&#39;&quot;&amp;&#39;&gt;\\u{0}\\u{202e}é\n"
        );
        assert_eq!(line(b"a\nb"), "a b");
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let shown = block(&[b'<'; MOST + 5]);
        assert!(shown.ends_with("</pre><p class=\"note\">… and 5 more bytes</p>"), "{}", &shown[shown.len() - 60..]);
        assert_eq!(shown.matches("&lt;").count(), MOST);
    }
}
