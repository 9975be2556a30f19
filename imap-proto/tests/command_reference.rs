//! The parser of commands beside a slow and obvious one for those that all sessions are made of: it takes and refuses the same
//! octets, and reads the same in them. What any command was read as is written out and read again.

mod command_print;

use command_print::print;
use pillarbox_imap::search::Date;
use pillarbox_imap::wire::encode::string;
use pillarbox_imap::wire::parse::{TaggedCommand, command};
use proptest::prelude::*;

/// What is left to read. Each method reads one thing of the grammar in RFC 9051 §9, or says that it is not there.
struct Reading<'b>(&'b [u8]);

impl<'b> Reading<'b> {
    fn eat(&mut self, word: &str) -> Option<()> {
        let (front, rest) = self.0.split_at_checked(word.len())?;
        front.eq_ignore_ascii_case(word.as_bytes()).then(|| self.0 = rest)
    }

    fn take(&mut self, fits: impl Fn(char) -> bool) -> &'b [u8] {
        let len = self.0.iter().take_while(|&&octet| octet.is_ascii() && fits(octet.into())).count();
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn word(&mut self) -> String {
        let word = self.take(|c| c.is_ascii_alphanumeric() || c == '.');
        String::from_utf8(word.to_ascii_uppercase()).unwrap()
    }

    fn number(&mut self, max: u64) -> Option<u64> {
        let digits = String::from_utf8(self.take(|c| c.is_ascii_digit()).to_vec()).unwrap();
        let digits = digits.trim_start_matches('0');
        let number = if digits.is_empty() { 0 } else { digits.parse::<u64>().ok()? };
        (number <= max).then_some(number)
    }

    fn astring(&mut self) -> Option<Vec<u8>> {
        let bare = self.take(|c| c.is_ascii_graphic() && !"(){%*\"\\".contains(c));
        if bare.is_empty() { self.string() } else { Some(bare.to_vec()) }
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        let mut octets = Vec::new();
        if self.eat("{").is_some() {
            let digits = self.0.first().filter(|octet| octet.is_ascii_digit());
            digits?;
            let size = self.number(u32::MAX.into())?;
            let _ = self.eat("+");
            self.eat("}\r\n")?;
            let (literal, rest) = self.0.split_at_checked(size as usize)?;
            self.0 = rest;
            return (!literal.contains(&0)).then(|| literal.to_vec());
        }
        self.eat("\"")?;
        loop {
            let (&octet, rest) = self.0.split_first()?;
            self.0 = rest;
            match octet {
                b'"' => return String::from_utf8(octets).ok().map(String::into_bytes),
                b'\\' => {
                    let (&octet, rest) = self.0.split_first()?;
                    self.0 = rest;
                    octets.push(Some(octet).filter(|octet| b"\"\\".contains(octet))?);
                }
                0 | b'\r' | b'\n' => return None,
                octet => octets.push(octet),
            }
        }
    }

    /// In the form in which sets are written.
    fn set(&mut self) -> Option<String> {
        let text = String::from_utf8(self.take(|c| c.is_ascii_digit() || "*:,$".contains(c)).to_vec()).unwrap();
        let number = |text: &str| match text {
            "*" => Some(u64::MAX),
            text if text.is_empty() || text.starts_with('0') || !text.chars().all(|c| c.is_ascii_digit()) => None,
            text => text.parse::<u32>().ok().map(u64::from),
        };
        let spelled = |number: u64| if number == u64::MAX { "*".into() } else { number.to_string() };
        let parts: Vec<&str> = text.split(',').collect();
        let mut all = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            if *part == "$" && index == parts.len() - 1 {
                all.push("$".into());
                continue;
            }
            let mut ends: Vec<u64> = part.split(':').map(number).collect::<Option<_>>()?;
            ends.sort_unstable();
            match ends[..] {
                [one] => all.push(spelled(one)),
                [one, other] if one == other => all.push(spelled(one)),
                [low, high] => all.push(format!("{}:{}", spelled(low), spelled(high))),
                _ => return None,
            }
        }
        Some(all.join(","))
    }

    /// `SP "(" name [SP value] .. ")"`, if there is one. Values are numbers, sets, strings and lists of them.
    fn modifiers(&mut self) -> Option<Vec<u8>> {
        if !self.0.starts_with(b" (") {
            return Some(Vec::new());
        }
        let start = self.0;
        self.eat(" (")?;
        let mut count = 0;
        loop {
            let name = self.take(|c| c.is_ascii_graphic() && !"(){%*\"\\]".contains(c));
            name.first().filter(|octet| octet.is_ascii_alphabetic())?;
            count += 1;
            if matches!(self.0, [b' ', b'(' | b'*' | b'$' | b'0'..=b'9', ..]) {
                self.eat(" ")?;
                self.modifier_value(0)?;
            }
            if self.eat(")").is_some() {
                return (count <= 16).then(|| start[..start.len() - self.0.len()].to_vec());
            }
            self.eat(" ")?;
        }
    }

    fn modifier_value(&mut self, depth: usize) -> Option<()> {
        if depth > 4 {
            return None;
        }
        match self.0.first()? {
            b'"' | b'{' => self.string().map(|_| ()),
            b'(' => {
                self.eat("(")?;
                // A space may stand behind the parenthesis, too.
                let mut parted = true;
                loop {
                    if self.eat(")").is_some() {
                        return Some(());
                    }
                    if !parted {
                        return None;
                    }
                    self.modifier_value(depth + 1)?;
                    parted = self.0.starts_with(b" ") && !self.0.starts_with(b" )") && self.eat(" ").is_some();
                }
            }
            _ => {
                let word = self.take(|c| c == '*' || (c.is_ascii_graphic() && !"(){%\"\\".contains(c)));
                (!word.is_empty()).then_some(())
            }
        }
    }

    fn fetch_item(&mut self) -> Option<Vec<u8>> {
        let name = self.word();
        match name.as_str() {
            "BODY" if !self.0.starts_with(b"[") => Some(name.into_bytes()),
            "BODYSTRUCTURE" | "ENVELOPE" | "FLAGS" | "INTERNALDATE" | "RFC822" | "RFC822.HEADER" | "RFC822.SIZE"
            | "RFC822.TEXT" | "UID" => Some(name.into_bytes()),
            "BODY" | "BODY.PEEK" | "BINARY" | "BINARY.PEEK" | "BINARY.SIZE" => {
                let mut item = [name.as_bytes(), &self.section(name.starts_with("BODY"))?].concat();
                if name != "BINARY.SIZE" && self.eat("<").is_some() {
                    let origin = self.digits()?;
                    self.eat(".")?;
                    let count = self.digits().filter(|count| *count > 0)?;
                    self.eat(">")?;
                    item.extend(format!("<{origin}.{count}>").bytes());
                }
                Some(item)
            }
            _ => None,
        }
    }

    fn digits(&mut self) -> Option<u64> {
        self.0.first().filter(|octet| octet.is_ascii_digit())?;
        self.number(i64::MAX as u64)
    }

    fn section(&mut self, with_text: bool) -> Option<Vec<u8>> {
        self.eat("[")?;
        let mut path: Vec<String> = Vec::new();
        let mut behind_dot = false;
        while self.0.first().is_some_and(u8::is_ascii_digit) {
            let number = self.number(u32::MAX.into()).filter(|number| *number > 0)?;
            path.push(number.to_string());
            behind_dot = self.eat(".").is_some();
            if !behind_dot {
                break;
            }
        }
        let mut section = path.join(".").into_bytes();
        if !self.0.starts_with(b"]") {
            if !with_text || (!path.is_empty() && !behind_dot) {
                return None;
            }
            if behind_dot {
                section.push(b'.');
            }
            let text = self.word();
            section.extend(text.bytes());
            match text.as_str() {
                "HEADER" | "TEXT" => {}
                "MIME" if !path.is_empty() => {}
                "HEADER.FIELDS" | "HEADER.FIELDS.NOT" => {
                    self.eat(" (")?;
                    section.push(b' ');
                    for index in 0.. {
                        section.push(if index == 0 { b'(' } else { b' ' });
                        let name = self.astring()?;
                        string(&mut section, str::from_utf8(&name).ok()?.as_bytes());
                        if self.eat(")").is_some() {
                            break;
                        }
                        self.eat(" ")?;
                    }
                    section.push(b')');
                }
                _ => return None,
            }
        } else if behind_dot {
            return None;
        }
        self.eat("]")?;
        Some([b"[", &section[..], b"]"].concat())
    }

    fn flags(&mut self) -> Option<String> {
        let mut system = [false; 5];
        let mut keywords: Vec<String> = Vec::new();
        let names = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];
        let in_list = self.eat("(").is_some();
        let mut first = true;
        while !(in_list && first && self.0.starts_with(b")")) {
            let before = self.0;
            let backslash = self.eat("\\").is_some();
            let atom = self.take(|c| c.is_ascii_graphic() && !"(){%*\"\\]".contains(c));
            let atom = String::from_utf8(atom.to_vec()).unwrap();
            let known = names.iter().position(|name| name[1..].eq_ignore_ascii_case(&atom));
            match known.filter(|_| backslash) {
                Some(at) => system[at] = true,
                None if backslash || !(1..=50).contains(&atom.len()) => {
                    // What follows a list without parentheses is no part of it.
                    self.0 = before;
                    return None;
                }
                None if keywords.iter().any(|other| other.eq_ignore_ascii_case(&atom)) => {}
                None => keywords.push(atom),
            }
            first = false;
            if self.eat(" ").is_none() {
                break;
            }
        }
        if in_list {
            self.eat(")")?;
        }
        keywords.sort_by_key(|keyword| keyword.to_ascii_lowercase());
        let system = names.iter().zip(system).filter(|(_, is)| *is).map(|(name, _)| name.to_string());
        Some(format!("({})", system.chain(keywords).collect::<Vec<_>>().join(" ")))
    }

    fn date(&mut self) -> Option<String> {
        let quoted = self.eat("\"").is_some();
        let day = self.take(|c| c.is_ascii_digit());
        self.eat("-")?;
        let month = self.take(|c| c.is_ascii_alphabetic()).to_ascii_lowercase();
        self.eat("-")?;
        let year = self.take(|c| c.is_ascii_digit());
        if quoted {
            self.eat("\"")?;
        }
        let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        let month = months.iter().position(|name| name.as_bytes() == month)? + 1;
        let digits = |digits: &[u8], len: std::ops::RangeInclusive<usize>| {
            len.contains(&digits.len()).then(|| str::from_utf8(digits).unwrap().parse::<u16>().unwrap())
        };
        let (day, year) = (digits(day, 1..=2)?, digits(year, 4..=4)?);
        Date::new(year, month as u8, day as u8).map(|date| date.to_string())
    }

    fn keys(&mut self, depth: usize) -> Option<Vec<u8>> {
        let mut all = vec![self.key(depth)?];
        while self.eat(" ").is_some() {
            all.push(self.key(depth)?);
        }
        Some(if all.len() == 1 { all.remove(0) } else { [b"(", &all.join(&b' ')[..], b")"].concat() })
    }

    fn key(&mut self, depth: usize) -> Option<Vec<u8>> {
        if depth > 50 {
            return None;
        }
        if self.eat("(").is_some() {
            let keys = self.keys(depth + 1)?;
            return self.eat(")").map(|()| keys);
        }
        if self.0.first().is_some_and(|octet| octet.is_ascii_digit() || b"*$".contains(octet)) {
            return self.set().map(String::into_bytes);
        }
        let name = self.word();
        let mut with_text = |name: &str| {
            self.eat(" ")?;
            let text = self.astring()?;
            let mut key = name.as_bytes().to_vec();
            key.push(b' ');
            string(&mut key, str::from_utf8(&text).ok()?.as_bytes());
            Some(key)
        };
        let plain = |key: &str| Some(key.as_bytes().to_vec());
        match name.as_str() {
            "ALL" | "ANSWERED" | "DELETED" | "DRAFT" | "FLAGGED" | "RECENT" | "SEEN" => plain(&name),
            "UNANSWERED" | "UNDELETED" | "UNDRAFT" | "UNFLAGGED" | "UNSEEN" => plain(&format!("NOT {}", &name[2..])),
            "NEW" => plain("(RECENT NOT SEEN)"),
            "OLD" => plain("NOT RECENT"),
            "NOT" => {
                self.eat(" ")?;
                Some([b"NOT ", &self.key(depth + 1)?[..]].concat())
            }
            "OR" => {
                self.eat(" ")?;
                let one = self.key(depth + 1)?;
                self.eat(" ")?;
                Some([b"OR ", &one[..], b" ", &self.key(depth + 1)?[..]].concat())
            }
            "UID" => {
                self.eat(" ")?;
                plain(&format!("UID {}", self.set()?))
            }
            "BODY" | "TEXT" => with_text(&name),
            "FROM" => with_text("HEADER \"From\""),
            "TO" => with_text("HEADER \"To\""),
            "CC" => with_text("HEADER \"Cc\""),
            "BCC" => with_text("HEADER \"Bcc\""),
            "SUBJECT" => with_text("HEADER \"Subject\""),
            "HEADER" => {
                let mut key = with_text("HEADER")?;
                self.eat(" ")?;
                let text = self.astring()?;
                key.push(b' ');
                string(&mut key, str::from_utf8(&text).ok()?.as_bytes());
                Some(key)
            }
            "KEYWORD" | "UNKEYWORD" => {
                self.eat(" ")?;
                let atom = self.take(|c| c.is_ascii_graphic() && !"(){%*\"\\]".contains(c));
                let keyword = str::from_utf8(atom).unwrap();
                let not = if name == "KEYWORD" { "" } else { "NOT " };
                (1..=50).contains(&keyword.len()).then(|| format!("{not}KEYWORD {keyword}").into_bytes())
            }
            "BEFORE" | "ON" | "SINCE" | "SENTBEFORE" | "SENTON" | "SENTSINCE" => {
                self.eat(" ")?;
                plain(&format!("{name} {}", self.date()?))
            }
            "LARGER" | "SMALLER" => {
                self.eat(" ")?;
                plain(&format!("{name} {}", self.digits()?))
            }
            "OLDER" | "YOUNGER" => {
                self.eat(" ")?;
                plain(&format!("{name} {}", self.digits().filter(|n| (1..=u32::MAX.into()).contains(n))?))
            }
            _ => None,
        }
    }
}

/// The command in the form in which it is written out; none if it is wrong. `Err`: it is not one of those that are known here.
fn reference(octets: &[u8]) -> Result<Option<Vec<u8>>, ()> {
    let Some(line) = octets.strip_suffix(b"\r\n") else { return Ok(None) };
    let mut reading = Reading(line);
    let tag = reading.take(|c| c.is_ascii_graphic() && !"(){%*\"\\+".contains(c));
    if tag.is_empty() || reading.eat(" ").is_none() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(reading.0).to_ascii_uppercase();
    let words: Vec<&str> = text.splitn(3, [' ', '\r', '\n']).collect();
    let (uid, name) = match words[..] {
        ["UID", name, ..] if text.starts_with("UID ") => ("UID ", name),
        [name, ..] => ("", name),
        [] => return Ok(None),
    };
    let known = ["NOOP", "LOGIN", "FETCH", "STORE", "SEARCH", "COPY"];
    if !known.contains(&name) || (!uid.is_empty() && ["NOOP", "LOGIN"].contains(&name)) {
        return Err(());
    }
    reading.0 = &reading.0[uid.len() + name.len()..];
    let mut out = [tag, format!(" {uid}{name}").as_bytes()].concat();
    let read = (|| {
        if name == "NOOP" {
            return Some(());
        }
        if name == "SEARCH" {
            if reading.eat(" RETURN ").is_some() || reading.eat(" CHARSET ").is_some() {
                return None;
            }
            reading.eat(" ")?;
            out.push(b' ');
            out.extend(reading.keys(0)?);
            return Some(());
        }
        reading.eat(" ")?;
        out.push(b' ');
        if name == "LOGIN" {
            string(&mut out, &reading.astring()?);
            reading.eat(" ")?;
            out.push(b' ');
            string(&mut out, &reading.astring()?);
            return Some(());
        }
        out.extend(reading.set()?.bytes());
        match name {
            "COPY" => {
                reading.eat(" ")?;
                out.push(b' ');
                string(&mut out, &reading.astring()?);
            }
            "FETCH" => {
                reading.eat(" ")?;
                let mut items: Vec<Vec<u8>> = Vec::new();
                if reading.eat("(").is_some() {
                    loop {
                        let item = reading.fetch_item()?;
                        if !items.contains(&item) {
                            items.push(item);
                        }
                        if reading.eat(")").is_some() {
                            break;
                        }
                        reading.eat(" ")?;
                    }
                } else {
                    let before = reading.0;
                    let more: &[&str] = match reading.word().as_str() {
                        "FAST" => &[],
                        "ALL" => &["ENVELOPE"],
                        "FULL" => &["ENVELOPE", "BODY"],
                        _ => {
                            reading.0 = before;
                            items.push(reading.fetch_item()?);
                            &[]
                        }
                    };
                    if items.is_empty() {
                        let fast = ["FLAGS", "INTERNALDATE", "RFC822.SIZE"];
                        items.extend(fast.iter().chain(more).map(|item| item.as_bytes().to_vec()));
                    }
                }
                out.extend([b" (", &items.join(&b' ')[..], b")"].concat());
                out.extend(reading.modifiers()?);
            }
            _ => {
                out.extend(reading.modifiers()?);
                reading.eat(" ")?;
                out.push(b' ');
                if reading.0.starts_with(b"+") || reading.0.starts_with(b"-") {
                    out.push(reading.0[0]);
                    reading.0 = &reading.0[1..];
                }
                let word = reading.word();
                out.extend(Some(word).filter(|word| word == "FLAGS" || word == "FLAGS.SILENT")?.bytes());
                reading.eat(" ")?;
                out.push(b' ');
                out.extend(reading.flags()?.bytes());
            }
        }
        Some(())
    })();
    if text.contains(" RETURN ") || text.contains(" CHARSET ") {
        // Written out and read again only.
        return Err(());
    }
    out.extend_from_slice(b"\r\n");
    Ok(read.filter(|()| reading.0.is_empty()).map(|()| out))
}

fn set() -> impl Strategy<Value = String> {
    prop_oneof![10 => one_of("1|1:*|*|17,25:40,900:*|9:3|$|2,$|4294967295|5:5"), 1 => one_of("4294967296|0|1:2:3|01")]
}

/// One of those that `|` parts.
fn one_of(words: &'static str) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(words.split('|').collect::<Vec<_>>()).prop_map(String::from)
}

const ITEMS: [&str; 2] = [
    "UID|flags|FLAGS|INTERNALDATE|RFC822.SIZE|ENVELOPE|BODY|BodyStructure|RFC822|RFC822.HEADER|\
    RFC822.TEXT|BODY[]|BODY.PEEK[]|BODY[TEXT]<0.2048>|BODY.PEEK[1.2.MIME]|body[1.HEADER]|\
    BODY[HEADER.FIELDS (From \"To\" {4}\r\nDate)]|BODY.PEEK[2.HEADER.FIELDS.NOT (a b)]<5.1>|\
    BINARY[1]<3.9>|BINARY.PEEK[]|BINARY.SIZE[2.1]|BODY[HEADER.FIELDS (\"\u{e9}\" x)]",
    "BODY[MIME]|BODY[1.]|BODY[0]|BODY[1]<0.0>|BODY[HEADER.FIELDS ()]|BODYSTRUCTUREX|ALL|FAST",
];

const KEYS: [&str; 2] = [
    "ALL|unseen|NEW|OLD|1:5|$|UID 7:*|SINCE 1-Feb-2026|BEFORE \"31-Dec-1999\"|FROM smith|\
    SUBJECT \"a \\\"b\\\" c\"|HEADER X-Y {3}\r\na b|NOT SEEN|OR ANSWERED DRAFT|LARGER 100000|\
    KEYWORD $Junk|UNKEYWORD x|(DELETED TEXT x)|(ALL)|OLDER 3600|TO \"\u{fc}\"|CC a|BCC b|\
    SENTSINCE 01-jan-2020|NOT (OR 1 2)",
    "ON 30-Feb-2026|SMALLER 9223372036854775808|YOUNGER 0|BODY \u{fc}|UNANSWEREDX|TEXT",
];

const FLAGS: [&str; 2] = [
    "\\Seen|\\answered|\\Flagged|\\Deleted|\\Draft|$Junk|$junk|work",
    "\\Recent|\\|\\X|a]||kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
];

/// Words of the first list, and now and then one of the second, which are wrong there.
fn joined([usual, odd]: [&'static str; 2], len: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![20 => one_of(usual), 1 => one_of(odd)], len).prop_map(|words| words.join(" "))
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let uid = prop::sample::select(vec!["", "UID ", "uid "]);
    let modifiers = prop_oneof![
        4 => Just(String::new()),
        1 => one_of(" (CHANGEDSINCE 5)| (X (1 (2)) Y)| ()| (X 1| (X \"a b\")| (UNCHANGEDSINCE 0)"),
    ];
    let texts = one_of("joe|\"correct horse\"|\"a\\\"b\\\\\"|{3}\r\na\"b|{3+}\r\n\r\n]|a]b|\"\"|a(|{9}\r\nx");
    let others = one_of(
        "SELECT INBOX|EXAMINE \"a b\" (CONDSTORE)|LIST \"\" *|\
    LIST (SUBSCRIBED) \"\" (a% b) RETURN (CHILDREN STATUS (SIZE))|LSUB \"\" %|\
    STATUS x (MESSAGES UNSEEN messages)|CREATE x (USE (\\Sent \\Odd))|RENAME a b|ENABLE X Y|\
    AUTHENTICATE PLAIN AGE=|ID (\"a\" NIL)|ID NIL|UID EXPUNGE 1:3|EXPUNGE|MOVE 1 x|UID MOVE 1,3 x|\
    SEARCH RETURN (MIN COUNT) ALL|SEARCH CHARSET UTF-8 TEXT \u{fc}|SEARCH RETURN () CHARSET X-NONE ALL|\
    IDLE|SUBSCRIBE {1}\r\nx|LOGOUT|APPEND x|APPEND|NOOPX|UID NOOP|UID|NOOP |NOOP.|",
    );
    let listed = |list: bool, text: String| if list { format!("({text})") } else { text };
    let change =
        prop_oneof![20 => one_of("FLAGS|+FLAGS|-flags.silent|FLAGS.SILENT"), 1 => one_of("+FLAG|FLAGS.SILENTX")];
    let body = prop_oneof![
        1 => one_of("NOOP|noop"),
        1 => (texts.clone(), texts.clone()).prop_map(|(user, password)| format!("LOGIN {user} {password}")),
        4 => (uid.clone(), set(), prop::bool::weighted(0.9), joined(ITEMS, 1..5), modifiers.clone())
            .prop_map(move |(uid, set, list, items, more)| format!("{uid}FETCH {set} {}{more}", listed(list, items))),
        4 => (uid.clone(), joined(KEYS, 1..5)).prop_map(|(uid, keys)| format!("{uid}search {keys}")),
        3 => (uid.clone(), set(), modifiers, change, any::<bool>(), joined(FLAGS, 0..4))
            .prop_map(move |(uid, set, more, change, list, flags)|
                format!("{uid}Store {set}{more} {change} {}", listed(list, flags))),
        1 => (uid, set(), texts).prop_map(|(uid, set, mailbox)| format!("{uid}COPY {set} {mailbox}")),
        2 => others,
    ];
    (prop_oneof![20 => one_of("a001|A.1|]"), 1 => one_of("a+||x y")], body)
        .prop_map(|(tag, body)| format!("{tag} {body}\r\n").into_bytes())
}

fn text(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}

/// What was read is written out, read again, and is the same.
fn comes_back(octets: &[u8]) -> Option<Vec<u8>> {
    let read: TaggedCommand<'_> = command(octets).ok()?;
    let written = print(&read)?;
    let again = command(&written).unwrap_or_else(|error| panic!("{error}: {} as {}", text(octets), text(&written)));
    assert_eq!(print(&again).as_deref().map(text), Some(text(&written)), "{}", text(octets));
    Some(written)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]
    #[test]
    fn both_say_the_same(
        line in line(),
        // Octets are changed, left out or put in here and there; any may come.
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..3),
        change_it in prop::bool::weighted(0.4),
    ) {
        let mut line = line;
        for (at, octet, kind) in changes.into_iter().filter(|_| change_it) {
            let at = at.index(line.len());
            match kind {
                0 => line[at] = octet,
                1 => line.insert(at, octet),
                2 => line.insert(at, b" ()[]<>.,:*\"\\{}\r\n$"[usize::from(octet) % 18]),
                _ => drop(line.remove(at)),
            }
            if line.is_empty() {
                break;
            }
        }
        let read = comes_back(&line);
        if let Ok(expected) = reference(&line) {
            prop_assert_eq!(read.as_deref().map(text), expected.as_deref().map(text), "{}", text(&line));
        }
    }
}

#[test]
fn what_is_read_is_written_in_one_form() {
    for (line, written) in [
        ("a NOOP\r\n", "a NOOP\r\n"),
        ("a fetch 5:1,* full\r\n", "a FETCH 1:5,* (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY)\r\n"),
        ("a UID STORE 1 +flags $b \\seen A\r\n", "a UID STORE 1 +FLAGS (\\Seen $b A)\r\n"),
        ("a SEARCH (OR NEW 1) UNSEEN\r\n", "a SEARCH (OR (RECENT NOT SEEN) 1 NOT SEEN)\r\n"),
        ("a LOGIN {3}\r\na\"b c\r\n", "a LOGIN \"a\\\"b\" \"c\"\r\n"),
        ("a FETCH 1 BODY[1.header.fields (a)]<0.9>\r\n", "a FETCH 1 (BODY[1.HEADER.FIELDS (\"a\")]<0.9>)\r\n"),
    ] {
        assert_eq!(comes_back(line.as_bytes()).as_deref().map(text), Some(text(written.as_bytes())));
        assert_eq!(reference(line.as_bytes()).unwrap().as_deref().map(text), Some(text(written.as_bytes())));
    }
}
