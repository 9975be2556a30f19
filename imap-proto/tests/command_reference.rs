//! The parser of commands beside a slow and obvious one for those that all sessions are made of: it takes and refuses the same
//! octets, and reads the same in them. What any command was read as is written out and read again.

mod command_lines;
mod command_print;

use command_lines::line;
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
            "BODYSTRUCTURE" | "EMAILID" | "ENVELOPE" | "FLAGS" | "INTERNALDATE" | "RFC822" | "RFC822.HEADER"
            | "RFC822.SIZE" | "RFC822.TEXT" | "MODSEQ" | "PREVIEW" | "SAVEDATE" | "THREADID" | "UID" => {
                Some(name.into_bytes())
            }
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
            "SAVEDATESUPPORTED" => plain(&name),
            "EMAILID" | "THREADID" => {
                self.eat(" ")?;
                let id = self.take(|c| c.is_ascii_graphic() && !"(){%*\"\\]".contains(c));
                let fits = |id: &str| id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
                let id = str::from_utf8(id).ok().filter(|id| (1..=255).contains(&id.len()) && fits(id))?;
                plain(&format!("{name} {id}"))
            }
            "MODSEQ" => {
                self.eat(" ")?;
                if self.0.starts_with(b"\"") {
                    let entry = String::from_utf8(self.string()?).ok()?;
                    let flag =
                        entry.get(..7).filter(|path| path.eq_ignore_ascii_case("/flags/")).map(|_| &entry[7..])?;
                    let flag = flag.strip_prefix('\\').unwrap_or(flag);
                    let of_atom = |c: char| c.is_ascii_graphic() && !"(){%*\"\\]".contains(c);
                    if flag.is_empty() || !flag.chars().all(of_atom) {
                        return None;
                    }
                    self.eat(" ")?;
                    let kind = self.take(|c| c.is_ascii_graphic() && !"(){%*\"\\]".contains(c)).to_ascii_lowercase();
                    ["priv", "shared", "all"].iter().find(|known| known.as_bytes() == kind)?;
                    self.eat(" ")?;
                }
                plain(&format!("MODSEQ {}", self.digits()?))
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
            "BEFORE" | "ON" | "SINCE" | "SENTBEFORE" | "SENTON" | "SENTSINCE" | "SAVEDBEFORE" | "SAVEDON"
            | "SAVEDSINCE" => {
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
