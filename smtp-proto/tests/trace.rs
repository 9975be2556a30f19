//! Trace fields, against the grammar of RFC 5321 §4.4 read by a parser that knows nothing of the writer.

use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_core::{Random, SeededRandom, TlsFacts, WallTime};
use pillarbox_smtp::command::MtPriority;
use pillarbox_smtp::trace::{Received, ReturnPath, StripField};

/// A reader of the grammar: each method takes what it names off the front, or fails.
struct Reader<'t>(&'t str);

type Read<'t> = Result<&'t str, String>;

impl<'t> Reader<'t> {
    fn literal(&mut self, text: &str) -> Result<(), String> {
        match self.0.get(..text.len()) {
            Some(start) if start.eq_ignore_ascii_case(text) => {
                self.0 = &self.0[text.len()..];
                Ok(())
            }
            _ => Err(format!("{text:?} expected at {:?}", self.0)),
        }
    }

    fn run(&mut self, what: &str, fits: impl Fn(char) -> bool) -> Read<'t> {
        let end = self.0.find(|c| !fits(c)).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        if run.is_empty() { Err(format!("{what} expected at {rest:?}")) } else { Ok(run) }
    }

    fn fws(&mut self) -> Result<(), String> {
        self.run("FWS", |c| c == ' ' || c == '\t').map(drop)
    }

    /// `CFWS`; the writer makes no nested comment and no quoted pair in one.
    fn cfws(&mut self) -> Result<(), String> {
        self.fws()?;
        while self.0.starts_with('(') {
            self.literal("(")?;
            self.run("ctext", |c| c.is_ascii_graphic() && !"()\\".contains(c) || c == ' ')?;
            self.literal(")")?;
            if self.0.starts_with(' ') {
                self.fws()?;
            }
        }
        Ok(())
    }

    fn domain(&mut self) -> Result<(), String> {
        let domain = self.run("Domain", |c| c.is_ascii_alphanumeric() || c == '-' || c == '.')?;
        let label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
        if domain.split('.').all(label) { Ok(()) } else { Err(format!("{domain} is no Domain")) }
    }

    fn address_literal(&mut self) -> Result<(), String> {
        self.literal("[")?;
        let content = self.run("dcontent", |c| c.is_ascii_graphic() && !"[]\\".contains(c))?;
        self.literal("]")?;
        // ABNF looks at no case.
        let tagged = content.split_at_checked(5).filter(|(tag, _)| tag.eq_ignore_ascii_case("IPv6:"));
        let good = match tagged.map(|(_, ip)| ip) {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
            None => content.parse::<std::net::Ipv4Addr>().is_ok(),
        };
        if good { Ok(()) } else { Err(format!("[{content}] is no address-literal")) }
    }

    fn domain_or_literal(&mut self) -> Result<(), String> {
        if self.0.starts_with('[') { self.address_literal() } else { self.domain() }
    }

    fn extended_domain(&mut self) -> Result<(), String> {
        self.domain_or_literal()?;
        if self.0.starts_with(" (") {
            self.literal(" (")?;
            if !self.0.starts_with('[') {
                self.domain()?;
                self.fws()?;
            }
            self.address_literal()?;
            self.literal(")")?;
        }
        Ok(())
    }

    fn atom(&mut self) -> Result<(), String> {
        self.run("Atom", |c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)).map(drop)
    }

    fn path(&mut self) -> Result<(), String> {
        self.literal("<")?;
        if self.0.starts_with('"') {
            self.literal("\"")?;
            while !self.0.starts_with('"') {
                let length = if self.0.starts_with('\\') { 2 } else { 1 };
                let content = self.0.get(..length).ok_or("Quoted-string not closed")?;
                if !content.bytes().all(|octet| (32..127).contains(&octet)) {
                    return Err(format!("{content:?} in a Quoted-string"));
                }
                self.0 = &self.0[length..];
            }
            self.literal("\"")?;
        } else {
            self.atom()?;
            while self.0.starts_with('.') {
                self.literal(".")?;
                self.atom()?;
            }
        }
        self.literal("@")?;
        self.domain_or_literal()?;
        self.literal(">")
    }

    fn date_time(&mut self) -> Result<(), String> {
        let one_of = |words: &str, word: &str| {
            if words.split(' ').any(|w| w == word) { Ok(()) } else { Err(format!("{word} in a date")) }
        };
        let letters = |c: char| c.is_ascii_alphabetic();
        let digits = |c: char| c.is_ascii_digit();
        one_of("Mon Tue Wed Thu Fri Sat Sun", self.run("day-name", letters)?)?;
        self.literal(", ")?;
        self.run("day", digits)?;
        self.fws()?;
        one_of("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", self.run("month", letters)?)?;
        self.fws()?;
        let year = self.run("year", digits)?;
        self.fws()?;
        let time = self.run("time", |c| c.is_ascii_digit() || c == ':')?;
        self.fws()?;
        let zone = self.run("zone", |c| c.is_ascii_digit() || c == '+' || c == '-')?;
        if year.len() == 4 && time.len() == 8 && zone.len() == 5 { Ok(()) } else { Err("lengths in a date".into()) }
    }

    fn stamp(&mut self) -> Result<(), String> {
        self.literal("Received:")?;
        self.fws()?;
        self.literal("from")?;
        self.fws()?;
        self.extended_domain()?;
        self.cfws()?;
        self.literal("by")?;
        self.fws()?;
        self.extended_domain()?;
        for (word, path) in [("with", false), ("id", false), ("for", true), ("PRIORITY", false)] {
            let before = self.0;
            if self.0.starts_with(' ') {
                self.cfws()?;
            }
            if self.literal(word).is_err() {
                self.0 = before;
                continue;
            }
            self.fws()?;
            if path { self.path()? } else { self.atom()? }
        }
        if self.0.starts_with(' ') {
            self.cfws()?;
        }
        self.literal(";")?;
        self.fws()?;
        self.date_time()?;
        if self.0.is_empty() { Ok(()) } else { Err(format!("{:?} behind the date", self.0)) }
    }
}

/// Reads a whole field with its folds.
fn read(field: &str) -> Result<String, String> {
    let body = field.strip_suffix("\r\n").ok_or("no CRLF at the end")?;
    let mut unfolded = String::new();
    for (index, line) in body.split("\r\n").enumerate() {
        if index > 0 && !line.starts_with(' ') {
            return Err(format!("{line:?} begins another field"));
        }
        // What has no space inside cannot be folded.
        if line.len() > 78 && line.trim().split(' ').count() > 3 {
            return Err(format!("{line:?} is {} octets long", line.len()));
        }
        if line.bytes().any(|octet| !(32..127).contains(&octet)) {
            return Err(format!("{line:?} holds an octet that no field may"));
        }
        unfolded.push_str(line);
    }
    Reader(&unfolded).stamp()?;
    Ok(unfolded)
}

/// A text that somebody could claim, mostly a bad one.
fn claim(random: &mut SeededRandom) -> String {
    const PIECES: [&str; 24] = [
        "a",
        "mx",
        ".",
        "-",
        "_",
        "[127.0.0.1]",
        "[IPv6:::1]",
        "(",
        ")",
        " by trusted",
        ";",
        "\r\nX-Evil: 1",
        "\n",
        "\0",
        "\u{1b}[2J",
        "é",
        "\"",
        "\\",
        "<a@b.example>",
        "example",
        "with ESMTPS",
        "[",
        "]",
        ",",
    ];
    let mut text = String::new();
    for _ in 0..random.below(6) {
        text.push_str(PIECES[random.below(PIECES.len() as u64) as usize]);
    }
    if random.below(20) == 0 { text.repeat(60) } else { text }
}

#[test]
fn received_fields_follow_the_grammar_whatever_is_claimed() {
    let mut random = SeededRandom::new(5321);
    const PATHS: [&[u8]; 9] = [
        b"<joe@mx.example>",
        b"<\"joe doe\"@mx.example>",
        b"<\"a\\\")(;\\\\b\"@mx.example>",
        b"<joe@[192.0.2.1]>",
        b"<joe@[IPv6:2001:db8::1]>",
        b"<postmaster>",
        b"<joe@a_b.example>",
        b"<joe+!#$%&'*/=?^_`{|}~@mx.example>",
        b"<\" with id 7 ; \"@mx.example>",
    ];
    for round in 0..1000 {
        let (from, reverse, by) = (claim(&mut random), claim(&mut random), claim(&mut random));
        let (with, id) = (claim(&mut random), claim(&mut random));
        let tls = TlsFacts::new(claim(&mut random), "TLS_AES_256_GCM_SHA384");
        let good = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
        let recipients: Vec<ForwardPath<'_>> = (0..random.below(4))
            .map(|_| ForwardPath::take(PATHS[random.below(9) as usize], false).expect("the paths above are good").0)
            .collect();
        let date = WallTime::new(random.next_u64() as i64, random.next_u64() as i32);
        let mut received = Received::new(&by, &with, date);
        received.from = &from;
        received.id = &id;
        received.recipients = &recipients;
        if random.below(2) == 0 {
            received.by = "mx.example";
            received.with = "ESMTPSA";
        }
        received.reverse_name = (random.below(2) == 0).then_some(&reverse);
        received.tls = [None, Some(&tls), Some(&good)][random.below(3) as usize];
        received.ip = match random.below(3) {
            0 => None,
            1 => Some([192, 0, 2, 1].into()),
            _ => Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()),
        };
        let field = received.to_string();
        let unfolded = read(&field).unwrap_or_else(|why| panic!("round {round}: {why}\n{field}"));
        assert!(!unfolded.contains(" for ") || recipients.len() == 1, "several recipients: {field}");
    }
}

#[test]
fn a_received_field_with_everything() {
    let tls = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
    let recipients = [ForwardPath::take(b"<joe@mx.example>", false).unwrap().0];
    let mut received = Received::new("mx.example", "ESMTPSA", WallTime::new(1_234_567_890, 3600));
    received.from = "client.example";
    received.reverse_name = Some("host.client.example");
    received.ip = Some([192, 0, 2, 1].into());
    received.tls = Some(&tls);
    received.id = "4711";
    received.recipients = &recipients;
    received.priority = MtPriority::new(-4);
    read(&received.to_string()).unwrap();
    assert_eq!(
        received.to_string(),
        "Received: from client.example (host.client.example [192.0.2.1])\r\n \
         by mx.example with ESMTPSA (TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n \
         id 4711 for <joe@mx.example> PRIORITY -4; Sat, 14 Feb 2009 00:31:30 +0100\r\n"
    );
}

#[test]
fn claims_that_are_no_host_names_are_replaced() {
    let mut received = Received::new("mx.example", "ESMTP", WallTime::new(0, 0));
    received.ip = Some([192, 0, 2, 1].into());
    received.reverse_name = Some("evil.example) by trusted (");
    for from in ["", "a(b", "a_b", "[127.0.0.1] by trusted", "x\r\nX-Evil: 1"] {
        received.from = from;
        let field = received.to_string();
        assert!(field.starts_with("Received: from [192.0.2.1] ([192.0.2.1]) by mx.example"), "{field}");
    }
    received.ip = None;
    assert!(received.to_string().starts_with("Received: from unknown by mx.example"));
}

#[test]
fn clients_of_every_kind_of_address() {
    let v6 = "2001:db8::1".parse().unwrap();
    for (from, ip, expected) in [
        ("[IPv6:2001:db8::1]", Some(v6), "from [IPv6:2001:db8::1] ([IPv6:2001:db8::1]) by"),
        ("[ipv6:2001:DB8::1]", Some(v6), "from [ipv6:2001:DB8::1] ([IPv6:2001:db8::1]) by"),
        ("[192.0.2.1]", Some([192, 0, 2, 1].into()), "from [192.0.2.1] ([192.0.2.1]) by"),
        ("[2001:db8::1]", Some(v6), "from [IPv6:2001:db8::1] ([IPv6:2001:db8::1]) by"),
        ("client.example", Some(v6), "from client.example ([IPv6:2001:db8::1]) by"),
        // As a socket that takes both kinds shows a client of the old one.
        ("client.example", Some("::ffff:192.0.2.1".parse().unwrap()), "from client.example ([192.0.2.1]) by"),
        // A unix socket.
        ("client.example", None, "from client.example by"),
        ("[IPv6:::1]", None, "from [IPv6:::1] by"),
        ("a_b", None, "from unknown by"),
    ] {
        let mut received = Received::new("mx.example", "LMTP", WallTime::new(0, 0));
        received.from = from;
        received.ip = ip;
        let field = read(&received.to_string()).unwrap();
        assert!(field.starts_with(&format!("Received: {expected} mx.example with LMTP;")), "{from}: {field}");
    }
}

#[test]
fn return_path_quotes_again() {
    let (from, _) = ReversePath::take(b"<\"a@b\"@c.example>", false).unwrap();
    assert_eq!(ReturnPath(&from).to_string(), "Return-Path: <\"a@b\"@c.example>\r\n");
}

fn strip(pieces: &[&[u8]]) -> Vec<u8> {
    let (mut strip, mut kept) = (StripField::return_path(), Vec::new());
    for piece in pieces {
        strip.write(piece, &mut |octets| kept.extend_from_slice(octets));
    }
    strip.finish(&mut |octets| kept.extend_from_slice(octets));
    kept
}

#[test]
fn return_path_of_others_is_taken_out_of_the_header_only() {
    let hidden = format!("Return-Path{}: x\r\n y\r\nA: 1\r\n\r\n", " \t".repeat(20));
    let long = format!("Return-Path{}x\r\n\r\n", " ".repeat(21));
    for (message, kept) in [
        ("Return-Path: <a@b.example>\r\nSubject: x\r\n\r\nbody\r\n", "Subject: x\r\n\r\nbody\r\n"),
        ("A: 1\r\nRETURN-PATH : <>\r\n folded\r\n\tmore\r\nB: 2\r\n\r\n", "A: 1\r\nB: 2\r\n\r\n"),
        ("Return-Path:\r\nReturn-path:x\r\n\r\nReturn-Path: stays\r\n", "\r\nReturn-Path: stays\r\n"),
        // However much white space stands before the colon, and on how many lines.
        (&hidden, "A: 1\r\n\r\n"),
        ("Return-Path \r\n \r\n\t: x\r\n y\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n"),
        ("Return-Path\n : x\nA: 1\n\n", "A: 1\n\n"),
        ("Return-Path\r\n\r\nReturn-Path: x\r\n", "Return-Path\r\n\r\nReturn-Path: x\r\n"),
        ("Return-Path\r\nReturn-Path: x\r\n\r\n", "Return-Path\r\n\r\n"),
        ("Return-Path\r\nA: x\r\n\r\n", "Return-Path\r\nA: x\r\n\r\n"),
        ("Return-Path\r\n", "Return-Path\r\n"),
        ("Return-Path\rx: y\r\n\r\n", "Return-Path\rx: y\r\n\r\n"),
        ("Delivered-To: joe\r\n\r\n", "Delivered-To: joe\r\n\r\n"),
        ("Return-Pathology: x\r\nX-Return-Path: y\r\n\r\n", "Return-Pathology: x\r\nX-Return-Path: y\r\n\r\n"),
        ("Return-Path  no colon\r\n\r\n", "Return-Path  no colon\r\n\r\n"),
        ("Return-Path", "Return-Path"),
        ("Retur\r\n\r\nx", "Retur\r\n\r\nx"),
        ("\r\nReturn-Path: x\r\n", "\r\nReturn-Path: x\r\n"),
        ("A: 1\n\nReturn-Path: x\n", "A: 1\n\nReturn-Path: x\n"),
        ("A: 1\r\n\rReturn-Path: x\r\n\r\n", "A: 1\r\n\rReturn-Path: x\r\n\r\n"),
        ("", ""),
        (&long, &long),
    ] {
        let message = message.as_bytes();
        let shown = String::from_utf8_lossy(message);
        assert_eq!(strip(&[message]), kept.as_bytes(), "{shown:?}");
        let bytes: Vec<&[u8]> = message.chunks(1).collect();
        assert_eq!(strip(&bytes), kept.as_bytes(), "{shown:?} byte by byte");
        for at in 0..message.len() {
            let (one, other) = message.split_at(at);
            assert_eq!(strip(&[one, other]), kept.as_bytes(), "{shown:?} cut at {at}");
        }
    }
}

/// What a reader of whole messages leaves of them: fields with their folds, up to the empty line.
fn without_bcc(message: &str) -> String {
    let (mut kept, mut rest) = (String::new(), message);
    while !rest.is_empty() && !rest.starts_with("\r\n") {
        let mut end = 0;
        loop {
            end = rest[end..].find("\r\n").map_or(rest.len(), |at| end + at + 2);
            if !rest[end..].starts_with(' ') {
                break;
            }
        }
        let (field, behind) = rest.split_at(end);
        let name = field.split_once(':').map(|(name, _)| name.trim_end());
        if !name.is_some_and(|name| name.eq_ignore_ascii_case("Bcc")) {
            kept.push_str(field);
        }
        rest = behind;
    }
    kept + rest
}

#[test]
fn a_field_that_goes_is_found_however_it_is_written_and_cut() {
    const PARTS: [&str; 6] = ["bCc", ":", " ", "\r\n", "x", "c"];
    for number in 0..PARTS.len().pow(6) {
        let message: String = (0..6).map(|digit| PARTS[number / PARTS.len().pow(digit) % PARTS.len()]).collect();
        let expected = without_bcc(&message);
        for at in 0..message.len() {
            let (mut strip, mut kept) = (StripField::bcc(), Vec::new());
            for piece in [&message[..at], &message[at..]] {
                strip.write(piece.as_bytes(), &mut |octets| kept.extend_from_slice(octets));
            }
            strip.finish(&mut |octets| kept.extend_from_slice(octets));
            assert_eq!(String::from_utf8_lossy(&kept), expected, "{message:?} cut at {at}");
        }
    }
}
