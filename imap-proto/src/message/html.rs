//! The text of HTML, as far as a preview of it needs to be true.

/// Takes tags, comments, scripts and style sheets out of HTML that comes in pieces, and gives the characters that are left.
/// Nothing is held but the name of a tag or of an entity.
#[derive(Debug)]
pub(super) struct HtmlText {
    state: State,
    /// The beginning of a tag's or an entity's name, in small letters.
    name: String,
    /// The element whose content is not shown, such as `style`.
    hidden: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// Behind `<`, or within the name of a tag.
    TagName,
    /// Behind the name of a tag, where the name of an attribute may begin; and behind that.
    Tag,
    Attribute,
    /// Behind its `=`; within its value, without quotation marks or with those of this kind.
    BeforeValue,
    Value(Option<char>),
    /// Behind `<!--`, and so many dashes. Those of the beginning count: `<!-->` is complete.
    Comment(u8),
    /// Behind `<!` or `<?`.
    Declaration,
    /// Behind `&`.
    Entity,
}

use alloc::string::String;

/// The longest name that means something.
const NAME_MAX: usize = 12;

/// Elements whose content is not for people.
const HIDDEN: [&str; 5] = ["script", "style", "title", "template", "noscript"];

/// Elements that stand within a line, so that no space comes in their place.
const INLINE: [&str; 22] = [
    "a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "em", "font", "i", "ins", "kbd", "mark", "q", "s", "small",
    "span", "strong", "sub", "sup", "u",
];

/// Entities that mail is full of; others are shown as they are written.
const ENTITIES: [(&str, char); 40] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("hellip", '…'),
    ("mdash", '—'),
    ("ndash", '–'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("bull", '•'),
    ("middot", '·'),
    ("euro", '€'),
    ("pound", '£'),
    ("sect", '§'),
    ("deg", '°'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("agrave", 'à'),
    ("ccedil", 'ç'),
    ("ntilde", 'ñ'),
    ("shy", '\u{ad}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("ensp", ' '),
];

impl HtmlText {
    pub(super) fn new() -> Self {
        HtmlText { state: State::Text, name: String::new(), hidden: None }
    }

    /// Reads the next characters, and shows those of the text until there are enough.
    pub(super) fn read(&mut self, html: &str, mut show: impl FnMut(char) -> bool) {
        for c in html.chars() {
            if !self.next(c, &mut show) {
                return;
            }
        }
    }

    /// False once there is enough.
    fn next(&mut self, c: char, show: &mut impl FnMut(char) -> bool) -> bool {
        match self.state {
            State::Text => match c {
                '<' => self.begin(State::TagName),
                '&' if self.hidden.is_none() => self.begin(State::Entity),
                c if self.hidden.is_none() => return show(c),
                _ => {}
            },
            State::TagName => return self.tag_name(c, show),
            State::Tag | State::Attribute | State::BeforeValue | State::Value(_) => match (self.state, c) {
                (State::Value(Some(mark)), c) => self.state = if c == mark { State::Tag } else { self.state },
                (_, '>') => return self.end_of_tag(show),
                (State::BeforeValue, '"' | '\'') => self.state = State::Value(Some(c)),
                (State::BeforeValue, c) if !is_space(c) => self.state = State::Value(None),
                (State::Value(None), c) if is_space(c) => self.state = State::Tag,
                (State::Attribute, '=') => self.state = State::BeforeValue,
                (State::Attribute, '/') => self.state = State::Tag,
                (State::Tag, c) if !is_space(c) && c != '/' => self.state = State::Attribute,
                _ => {}
            },
            State::Declaration => match c {
                '-' if self.name == "-" => self.state = State::Comment(2),
                '-' if self.name.is_empty() => self.name.push('-'),
                '>' => self.state = State::Text,
                _ => self.name.push_str(if self.name.len() < NAME_MAX { "x" } else { "" }),
            },
            State::Comment(dashes) => {
                self.state = match c {
                    '>' if dashes >= 2 => State::Text,
                    '-' => State::Comment((dashes + 1).min(2)),
                    _ => State::Comment(0),
                }
            }
            State::Entity => match c {
                ';' => {
                    self.state = State::Text;
                    return match entity(&self.name) {
                        Some(c) => show(c),
                        None => self.show_entity(show) && show(';'),
                    };
                }
                c if (c.is_ascii_alphanumeric() || c == '#') && self.name.len() < NAME_MAX => self.name.push(c),
                c => {
                    self.state = State::Text;
                    return self.show_entity(show) && self.next(c, show);
                }
            },
        }
        true
    }

    /// The name of a tag, or what turns out to be none.
    fn tag_name(&mut self, c: char, show: &mut impl FnMut(char) -> bool) -> bool {
        let is_end = matches!(c, '>' | '/') || is_space(c);
        match self.hidden {
            // Within what is not shown everything is text, comments as well, up to its end.
            Some(hidden) => {
                let is_its_end = is_end && self.name.strip_prefix('/') == Some(hidden);
                let may_become_it = if self.name.is_empty() { c == '/' } else { c.is_ascii_alphabetic() };
                if !is_its_end && !may_become_it {
                    self.state = State::Text;
                    return self.next(c, show);
                }
            }
            None if self.name.is_empty() => match c {
                '!' | '?' => {
                    self.state = State::Declaration;
                    return true;
                }
                c if c == '/' || c.is_ascii_alphanumeric() => {}
                // "<" by itself is text.
                c => {
                    self.state = State::Text;
                    return show('<') && self.next(c, show);
                }
            },
            None => {}
        }
        match c {
            '>' => return self.end_of_tag(show),
            _ if is_end && !self.name.is_empty() => self.state = State::Tag,
            c if self.name.len() < NAME_MAX => self.name.push(c.to_ascii_lowercase()),
            _ => {}
        }
        true
    }

    fn begin(&mut self, state: State) {
        self.name.clear();
        self.state = state;
    }

    /// What looked like an entity is none.
    fn show_entity(&self, show: &mut impl FnMut(char) -> bool) -> bool {
        show('&') && self.name.chars().all(show)
    }

    fn end_of_tag(&mut self, show: &mut impl FnMut(char) -> bool) -> bool {
        self.state = State::Text;
        let (name, ends) = match self.name.strip_prefix('/') {
            Some(name) => (name, true),
            None => (self.name.as_str(), false),
        };
        match self.hidden {
            Some(hidden) => {
                if ends && name == hidden {
                    self.hidden = None;
                }
                true
            }
            None => {
                if !ends {
                    self.hidden = HIDDEN.into_iter().find(|hidden| *hidden == name);
                }
                INLINE.contains(&name) || show(' ')
            }
        }
    }
}

/// White space between the parts of a tag.
const fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

fn entity(name: &str) -> Option<char> {
    let Some(number) = name.strip_prefix('#') else {
        return ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, c)| *c);
    };
    let number = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => number.parse().ok(),
    };
    Some(number.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        let (mut whole, mut cut) = (String::new(), String::new());
        let mut push = |c| {
            whole.push(c);
            true
        };
        HtmlText::new().read(html, &mut push);
        let mut pieces = HtmlText::new();
        for c in html.chars() {
            pieces.read(c.encode_utf8(&mut [0; 4]), |c| {
                cut.push(c);
                true
            });
        }
        assert_eq!(whole, cut, "however it is cut");
        whole
    }

    #[test]
    fn what_is_text() {
        for (html, shown) in [
            ("<p>a<b>b</b>c</p>d", " abc d"),
            ("a<br>b<BR/>c", "a b c"),
            ("<style>p > a { x: '<b>' }</style>x", " x"),
            ("<SCRIPT>if (a < b) '</p>'</script >x", " x"),
            ("<title>no</title><!-- <p>no --> yes", "  yes"),
            ("<!DOCTYPE html>x<!---->y<!-- > -- >no-->z", "xyz"),
            // These are complete.
            ("a<!-->b<!--->c-->", "abc-->"),
            // What is not shown ends at its end only.
            ("<style><!-- p{} </style>Hello", " Hello"),
            ("<script>if (a<b && c<!--d) '<p title=\"'</script>Hello", " Hello"),
            ("<script></scripts></ script><</script\tx='>'>Hello", " Hello"),
            ("<title>a & b <i>c</title/>Hello", " Hello"),
            ("<style-guide>a</style-guide>b", " a b"),
            // A quotation mark is one where a value begins.
            ("<img alt=don't>Hello", " Hello"),
            ("<img alt = \"a > b\"title='>'>Hello<p\">!", " Hello !"),
            ("<a href=x='y>Hello</a>", "Hello"),
            ("<a '>Hello</a><br/>", "Hello "),
            ("<a title=\"a > b\" x='>'>x</a>", "x"),
            ("1 < 2 && 3 > 2", "1 < 2 && 3 > 2"),
            ("a&nbsp;b&amp;lt;&#228;&#x20AC;&bogus;&#0;&x", "a b&lt;ä€&bogus;\0"),
            ("&#xFFFFFFFF;&#;", "\u{fffd}\u{fffd}"),
            ("<<p>x", "< x"),
            ("<", ""),
            ("<p", ""),
        ] {
            assert_eq!(text(html), shown, "{html}");
        }
    }
}
