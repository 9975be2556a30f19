//! The base subject (RFC 5256 §2.1).

use alloc::string::String;

/// A subject without what replies, forwards and mailing lists put around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BaseSubject<'s> {
    /// What is left.
    pub text: &'s str,
    /// Something was taken away that replies or forwards have (RFC 5256 §3, REFERENCES).
    pub is_reply: bool,
}

/// The base subject of a subject whose encoded words are undone, in linear time. `room` keeps the text with its white space
/// drawn together; what was in it is lost.
///
/// ```
/// use pillarbox_imap::sort::base_subject;
///
/// let mut room = String::new();
/// let base = base_subject("Re: [list]  fwd[2]: [Fwd: two\t words] (fwd)", &mut room);
/// assert_eq!((base.text, base.is_reply), ("two words", true));
/// assert_eq!(base_subject("[list] [tag]", &mut room).text, "[tag]");
/// ```
pub fn base_subject<'s>(subject: &str, room: &'s mut String) -> BaseSubject<'s> {
    // (1)
    room.clear();
    for letter in subject.chars() {
        match letter {
            ' ' | '\t' | '\r' | '\n' if room.ends_with(' ') => {}
            '\t' | '\r' | '\n' => room.push(' '),
            letter => room.push(letter),
        }
    }
    let (mut text, mut is_reply) = (room.as_str(), false);
    loop {
        // (2)
        loop {
            #[cfg(test)]
            crate::steps::count(1);
            text = text.trim_end_matches(' ');
            match without_end(text, "(fwd)") {
                Some(rest) => (text, is_reply) = (rest, true),
                None => break,
            }
        }
        // (3) to (5)
        loop {
            #[cfg(test)]
            crate::steps::count(1);
            text = text.trim_start_matches(' ');
            let blobs = blobs(text);
            if let Some(rest) = reply_or_forward(&text[blobs.end..]) {
                (text, is_reply) = (rest, true);
                continue;
            }
            // Of blobs with nothing behind them the last one is the base.
            text = &text[if blobs.end == text.len() { blobs.last } else { blobs.end }..];
            break;
        }
        // (6)
        match without_front(text, "[fwd:").and_then(|rest| rest.strip_suffix(']')) {
            Some(rest) => (text, is_reply) = (rest, true),
            None => return BaseSubject { text, is_reply },
        }
    }
}

/// `*subj-blob` at the front.
struct Blobs {
    /// Where the last one begins.
    last: usize,
    /// Where they end, with the white space behind them.
    end: usize,
}

/// All blobs at once: behind the first ones that nothing follows no others begin, so none is looked at again.
fn blobs(text: &str) -> Blobs {
    let mut blobs = Blobs { last: 0, end: 0 };
    while let Some(len) = blob(&text[blobs.end..]) {
        blobs = Blobs { last: blobs.end, end: blobs.end + len };
    }
    blobs
}

/// The length of `subj-blob = "[" *BLOBCHAR "]" *WSP` at the front.
fn blob(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('[')?;
    let end = inside.find(['[', ']', '\0']);
    #[cfg(test)]
    crate::steps::count(1 + end.unwrap_or(inside.len()));
    let end = end?;
    let behind = inside[end..].strip_prefix(']')?;
    Some(text.len() - behind.trim_start_matches(' ').len())
}

/// What is behind `subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`.
fn reply_or_forward(text: &str) -> Option<&str> {
    let rest = ["re", "fwd", "fw"].iter().find_map(|word| without_front(text, word))?;
    let rest = rest.trim_start_matches(' ');
    rest[blob(rest).unwrap_or(0)..].strip_prefix(':')
}

fn without_front<'t>(text: &'t str, front: &str) -> Option<&'t str> {
    let (first, rest) = text.split_at_checked(front.len())?;
    first.eq_ignore_ascii_case(front).then_some(rest)
}

fn without_end<'t>(text: &'t str, end: &str) -> Option<&'t str> {
    let (rest, last) = text.split_at_checked(text.len().checked_sub(end.len())?)?;
    last.eq_ignore_ascii_case(end).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn base(subject: &str) -> (String, bool) {
        let mut room = String::new();
        let base = base_subject(subject, &mut room);
        (base.text.to_string(), base.is_reply)
    }

    #[test]
    fn subjects() {
        for (subject, expected, is_reply) in [
            ("hello", "hello", false),
            ("  two \t words  ", "two words", false),
            ("Re: hello", "hello", true),
            ("RE : re:hello", "hello", true),
            ("re[2]: hello", "hello", true),
            ("re [two words] : hello", "hello", true),
            ("re [2] [3]: hello", "re [2] [3]: hello", false),
            ("Fw: Fwd: hello (fwd)(FWD) ", "hello", true),
            ("[list] hello", "hello", false),
            ("[a][b] Re: [c] hello", "hello", true),
            ("[a] [b]", "[b]", false),
            ("[a] [b] re:", "", true),
            ("re:", "", true),
            ("(fwd)", "", true),
            ("re", "re", false),
            // A blob that is all there is stays, and is then seen to be a forward.
            ("[fwd: hello]", "hello", true),
            ("[fwd: [a] hello]", "hello", true),
            ("[Fwd: Re: hello (fwd)] (fwd)", "hello", true),
            ("[fwd: [x]]", "[x]", true),
            ("[open hello", "[open hello", false),
            ("a re: b", "a re: b", false),
            ("", "", false),
            ("réponse: ä", "réponse: ä", false),
            ("[]", "[]", false),
            ("[] x", "x", false),
        ] {
            let (text, reply) = base(subject);
            assert_eq!((text.as_str(), reply), (expected, is_reply), "{subject}");
        }
    }

    /// The rules to the letter, one at a time.
    fn to_the_letter(subject: &str) -> (String, bool) {
        let mut text: String = subject.replace(['\t', '\r', '\n'], " ");
        while text.contains("  ") {
            text = text.replace("  ", " ");
        }
        let mut is_reply = false;
        let lower = |text: &str| text.to_ascii_lowercase();
        let blob_end = |text: &str| {
            let end = text.strip_prefix('[')?.find(['[', ']'])? + 1;
            let mut end = (text.as_bytes()[end] == b']').then_some(end + 1)?;
            while text[end..].starts_with(' ') {
                end += 1;
            }
            Some(end)
        };
        loop {
            loop {
                if text.ends_with(' ') {
                    text.pop();
                } else if lower(&text).ends_with("(fwd)") {
                    text.truncate(text.len() - 5);
                    is_reply = true;
                } else {
                    break;
                }
            }
            loop {
                let before = text.clone();
                loop {
                    if let Some(rest) = text.strip_prefix(' ') {
                        text = rest.to_string();
                        continue;
                    }
                    let mut rest = text.as_str();
                    while let Some(end) = blob_end(rest) {
                        rest = &rest[end..];
                    }
                    let word = ["re", "fwd", "fw"].iter().find(|word| lower(rest).starts_with(**word));
                    let Some(word) = word else { break };
                    let mut rest = rest[word.len()..].trim_start_matches(' ');
                    if let Some(end) = blob_end(rest) {
                        rest = &rest[end..];
                    }
                    let Some(rest) = rest.strip_prefix(':') else { break };
                    text = rest.to_string();
                    is_reply = true;
                }
                if let Some(end) = blob_end(&text)
                    && !text[end..].is_empty()
                {
                    text = text[end..].to_string();
                }
                if text == before {
                    break;
                }
            }
            if lower(&text).starts_with("[fwd:") && text.ends_with(']') {
                text = text[5..text.len() - 1].to_string();
                is_reply = true;
            } else {
                return (text, is_reply);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn is_what_the_rules_say(words in proptest::collection::vec(prop::sample::select(alloc::vec![
            "re", "Fw", "fwd", "FWD", ":", " ", "\t", "[", "]", "[a]", "[fwd:", "(fwd)", "(Fwd) ", "x", "\u{e4}", "re: ", "[fwd: ", "]]",
        ]), 0..14)) {
            let subject = words.concat();
            prop_assert_eq!(base(&subject), to_the_letter(&subject));
        }
    }

    #[test]
    fn takes_linear_time() {
        // Each of these would be looked at again and again by whoever follows the rules one at a time.
        for piece in ["[a]", "[", "re[", "[fwd:", "(fwd) ", "[fwd: [a]", "re: [b] ", "fwd[x] "] {
            for end in ["", "]", "x]", "x"] {
                let steps = |count: usize| {
                    let subject = piece.repeat(count) + &end.repeat(count);
                    crate::steps::of(|| drop(base(&subject)))
                };
                let (once, twice) = (steps(20_000), steps(40_000));
                assert!(twice <= 2 * once + 10, "{piece}{end}: {once} and {twice}");
            }
        }
    }
}
