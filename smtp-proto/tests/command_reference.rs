//! The parser of EHLO, MAIL and RCPT beside a slow and obvious one: it takes and refuses the same lines, for the same reasons, and
//! reads the same in them.

use pillarbox_core::address::{Address, AddressFault, ForwardPath, ReversePath};
use pillarbox_smtp::command::{Command, CommandError, Parameter, Understood, parse_with};
use pillarbox_smtp::server::BodyKind;
use proptest::prelude::*;

/// What was read, in words.
type Words = Vec<String>;

fn reference(line: &[u8], utf8: bool, understood: &[String]) -> Result<Words, CommandError> {
    if line.iter().any(u8::is_ascii_control) {
        return Err(CommandError::Octet);
    }
    let verb_len = line.iter().position(|octet| *octet == b' ').unwrap_or(line.len());
    let (verb, argument) = line.split_at(verb_len);
    let argument = argument.trim_ascii();
    match verb.to_ascii_uppercase().as_slice() {
        b"EHLO" | b"HELO" | b"LHLO" => hello(argument),
        b"MAIL" => mail(argument, understood),
        b"RCPT" => rcpt(argument, utf8, understood),
        _ => Err(CommandError::Unknown),
    }
}

fn hello(argument: &[u8]) -> Result<Words, CommandError> {
    let name = str::from_utf8(argument).ok().filter(|name| name.is_ascii()).ok_or(CommandError::Octet)?;
    if name.is_empty() {
        return Err(CommandError::Argument);
    }
    if name.len() > 255 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c)) {
        return Err(CommandError::HostName);
    }
    Ok(vec![name.into()])
}

fn mail(argument: &[u8], understood: &[String]) -> Result<Words, CommandError> {
    let path = behind(argument, b"FROM:")?;
    let ends_in_smtputf8 = path.to_ascii_uppercase().ends_with(b" SMTPUTF8");
    let (from, rest, lacks_utf8) = match ReversePath::take(path, false) {
        Ok((from, rest)) => (from, rest, None),
        Err(error) if error.fault == AddressFault::NonAscii => match ReversePath::take(path, true) {
            Ok((from, rest)) => (from, rest, Some(error)),
            Err(invalid) if ends_in_smtputf8 => return Err(CommandError::Sender(invalid)),
            Err(_) => return Err(CommandError::Sender(error)),
        },
        Err(error) => return Err(CommandError::Sender(error)),
    };
    let mut words = vec![from.to_string()];
    let mut smtputf8 = false;
    for (keyword, value) in parameters(rest, false) {
        let (keyword, value) = (keyword?, value);
        let needed = || value.clone().ok_or(CommandError::Parameter);
        let word = match keyword.as_str() {
            "SIZE" => {
                let value = needed()?;
                if value.len() > 20 || !value.chars().all(|c| c.is_ascii_digit()) {
                    return Err(CommandError::Parameter);
                }
                value.parse().unwrap_or(u64::MAX).to_string()
            }
            "BODY" => match needed()?.to_ascii_uppercase().as_str() {
                kind @ ("7BIT" | "8BITMIME" | "BINARYMIME") => kind.into(),
                _ => return Err(CommandError::Parameter),
            },
            "SMTPUTF8" if value.is_none() => {
                smtputf8 = true;
                String::new()
            }
            "RET" => match needed()?.to_ascii_uppercase().as_str() {
                ret @ ("FULL" | "HDRS") => ret.into(),
                _ => return Err(CommandError::Parameter),
            },
            "ENVID" => decoded(&needed()?, 100)?,
            "AUTH" if value.as_deref() == Some("<>") => String::new(),
            "AUTH" => {
                let text = xtext(&needed()?)?;
                Address::parse(&text).map_err(|_| CommandError::Parameter)?;
                text
            }
            "SMTPUTF8" => return Err(CommandError::Parameter),
            other => kept(other, value, understood)?,
        };
        add(&mut words, &keyword, &word)?;
    }
    match lacks_utf8 {
        Some(error) if !smtputf8 => Err(CommandError::Sender(error)),
        _ => Ok(words),
    }
}

fn rcpt(argument: &[u8], utf8: bool, understood: &[String]) -> Result<Words, CommandError> {
    let (to, rest) = ForwardPath::take(behind(argument, b"TO:")?, utf8).map_err(CommandError::Recipient)?;
    let mut words = vec![to.to_string()];
    for (keyword, value) in parameters(rest, utf8) {
        let (keyword, value) = (keyword?, value);
        let needed = || value.clone().ok_or(CommandError::Parameter);
        let word = match keyword.as_str() {
            "NOTIFY" => {
                let value = needed()?.to_ascii_uppercase();
                let mut asked: Vec<_> = value.split(',').collect();
                let known = |word: &&str| ["SUCCESS", "FAILURE", "DELAY"].contains(word);
                asked.sort_unstable();
                if asked != ["NEVER"] && (!asked.iter().all(known) || asked.windows(2).any(|two| two[0] == two[1])) {
                    return Err(CommandError::Parameter);
                }
                asked.join(",")
            }
            "ORCPT" => {
                let value = needed()?;
                let (kind, address) = value.split_once(';').ok_or(CommandError::Parameter)?;
                let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
                if value.len() > 500 || kind.is_empty() || address.is_empty() || !kind.chars().all(is_atom) {
                    return Err(CommandError::Parameter);
                }
                // The other encoding has tests of its own.
                format!("{kind};{}", decoded(address, 500)?)
            }
            other => kept(other, value, understood)?,
        };
        add(&mut words, &keyword, &word)?;
    }
    Ok(words)
}

fn behind<'b>(argument: &'b [u8], keyword: &[u8]) -> Result<&'b [u8], CommandError> {
    let (word, path) = argument.split_at_checked(keyword.len()).ok_or(CommandError::Argument)?;
    if word.eq_ignore_ascii_case(keyword) { Ok(path.trim_ascii_start()) } else { Err(CommandError::Argument) }
}

/// Keywords in capitals, and values.
fn parameters(rest: &[u8], utf8: bool) -> Vec<(Result<String, CommandError>, Option<String>)> {
    if !rest.is_empty() && rest[0] != b' ' {
        return vec![(Err(CommandError::Argument), None)];
    }
    let Ok(rest) = str::from_utf8(rest) else { return vec![(Err(CommandError::Parameter), None)] };
    let read = |text: &str| {
        let (keyword, value) = text.split_once('=').map_or((text, None), |(keyword, value)| (keyword, Some(value)));
        let keyword_fits = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let of_value = |c: char| (c.is_ascii_graphic() && c != '=') || (utf8 && !c.is_ascii());
        let value_fits = value.is_none_or(|value| !value.is_empty() && value.chars().all(of_value));
        let fits = keyword_fits && value_fits;
        (if fits { Ok(keyword.to_ascii_uppercase()) } else { Err(CommandError::Parameter) }, value.map(String::from))
    };
    rest.split(' ').filter(|text| !text.is_empty()).map(read).collect()
}

fn xtext(value: &str) -> Result<String, CommandError> {
    let mut octets = Vec::new();
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == '+' {
            let digits = rest.get(..2).ok_or(CommandError::Parameter)?;
            if !digits.chars().all(|c| matches!(c, '0'..='9' | 'A'..='F')) {
                return Err(CommandError::Parameter);
            }
            octets.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &rest[2..];
        } else {
            octets.extend(c.to_string().bytes());
        }
    }
    String::from_utf8(octets).map_err(|_| CommandError::Parameter)
}

fn decoded(value: &str, max: usize) -> Result<String, CommandError> {
    let text = xtext(value)?;
    let fits = value.len() <= max && text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if fits { Ok(text) } else { Err(CommandError::Parameter) }
}

fn kept(keyword: &str, value: Option<String>, understood: &[String]) -> Result<String, CommandError> {
    if !understood.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
        return Err(CommandError::UnknownParameter);
    }
    Ok(format!("{value:?}"))
}

fn add(words: &mut Words, keyword: &str, word: &str) -> Result<(), CommandError> {
    let start = format!("{keyword}: ");
    if words[1..].iter().any(|other| other.starts_with(&start)) {
        return Err(CommandError::Parameter);
    }
    words.push(start + word);
    Ok(())
}

/// What the parser has read, in the same words, those of parameters in the order of the alphabet.
fn read(line: &[u8], utf8: bool, understood: &[String]) -> Result<Words, CommandError> {
    let understood = Understood { mail: understood, rcpt: understood };
    let others = |others: Vec<Parameter<'_>>, words: &mut Words| {
        words.extend(others.iter().map(|other| format!("{}: {:?}", other.keyword.to_ascii_uppercase(), other.value)));
    };
    match parse_with(line, utf8, understood)? {
        Command::Hello(hello) => Ok(vec![hello.name.to_string()]),
        Command::Mail(mail) => {
            let mut words = vec![mail.from.to_string()];
            words.extend(mail.size.map(|size| format!("SIZE: {size}")));
            words.extend(match mail.body {
                BodyKind::SevenBit => None,
                BodyKind::EightBitMime => Some("BODY: 8BITMIME".into()),
                _ => Some("BODY: BINARYMIME".into()),
            });
            words.extend(mail.smtputf8.then(|| "SMTPUTF8: ".into()));
            words.extend(mail.ret.map(|ret| format!("RET: {ret:?}").to_ascii_uppercase()));
            words.extend(mail.envid.map(|envid| format!("ENVID: {envid}")));
            words.extend(mail.auth.map(|auth| format!("AUTH: {auth}")));
            others(mail.others, &mut words);
            Ok(words)
        }
        Command::Rcpt(rcpt) => {
            let mut words = vec![rcpt.to.to_string()];
            words.extend(rcpt.notify.map(|notify| {
                let asked = [(notify.delay, "DELAY"), (notify.failure, "FAILURE"), (notify.success, "SUCCESS")];
                let asked: Vec<_> = asked.iter().filter(|(asked, _)| *asked).map(|(_, word)| *word).collect();
                format!("NOTIFY: {}", if notify.is_never() { "NEVER".into() } else { asked.join(",") })
            }));
            words.extend(rcpt.orcpt.map(|orcpt| format!("ORCPT: {};{}", orcpt.addr_type, orcpt.address)));
            others(rcpt.others, &mut words);
            Ok(words)
        }
        other => panic!("{other:?}"),
    }
}

fn sorted(words: Result<Words, CommandError>) -> Result<Words, CommandError> {
    words.map(|mut words| {
        // A body of seven bits is what is meant without BODY, too.
        words.retain(|word| word != "BODY: 7BIT");
        words[1..].sort_unstable();
        words
    })
}

fn piece() -> impl Strategy<Value = String> {
    let usual = [
        " SIZE=12345",
        " SIZE=99999999999999999999",
        " BODY=8BITMIME",
        " body=7bit",
        " BODY=BINARYMIME",
        " SMTPUTF8",
        " RET=FULL",
        " ENVID=a+2Bb",
        " AUTH=<>",
        " AUTH=a@b",
        " NOTIFY=NEVER",
        " NOTIFY=SUCCESS,FAILURE",
        " notify=delay",
        " ORCPT=rfc822;joe@b.example",
        " ORCPT=x;a+20b",
        " X-A=1",
        " X-A",
        " Y=2",
    ];
    let odd = [
        " ",
        "  ",
        "=",
        "==",
        ",",
        ";",
        "+",
        "+2B",
        "+0D",
        "-",
        ".",
        "@",
        "<",
        ">",
        "\"",
        "\\",
        "[",
        "\t",
        "\r",
        "\n",
        "\0",
        "\u{7f}",
        "\u{1d}",
        "\u{1a}",
        "é",
        "\u{3002}",
        "SIZE",
        "BODY",
        "1",
        "NEVER",
        "SUCCESS",
        "X=",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ];
    prop_oneof![
        6 => prop::sample::select(usual.map(String::from).to_vec()),
        2 => prop::sample::select(odd.map(String::from).to_vec()),
        1 => "[ -~]",
    ]
}

fn line() -> impl Strategy<Value = String> {
    let start = [
        "EHLO client.example",
        "helo [127.0.0.1]",
        "LHLO a_b",
        "EHLO",
        "MAIL FROM:<joe.smith@client.example>",
        "MAIL FROM:<>",
        "mail from: <zoë@b.example>",
        "MAIL FROM:<\"a b\"@[192.0.2.1]>",
        "MAIL FROM:<@r.example:a@b>",
        "RCPT TO:<ann.jones@mx.example.org>",
        "rcpt to:<postmaster>",
        "RCPT TO:<zoë@b.example>",
        "RCPT TO:<a@b..c>",
        "MAIL TO:<a@b>",
        "RCPT",
    ];
    (prop::sample::select(start.to_vec()), prop::collection::vec(piece(), 0..5))
        .prop_map(|(start, pieces)| pieces.iter().fold(start.to_string(), |line, piece| line + piece))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn both_say_the_same(
        line in line(),
        // An octet is changed here and there; any may come.
        change in prop::option::weighted(0.5, (any::<prop::sample::Index>(), any::<u8>())),
        utf8 in any::<bool>(),
    ) {
        let understood = ["X-A".to_string()];
        let mut line = line.into_bytes();
        if let Some((at, octet)) = change {
            let at = at.index(line.len());
            line[at] = octet;
        }
        // The encoding of RFC 6533 is another grammar, and has tests of its own.
        prop_assume!(!line.to_ascii_lowercase().windows(6).any(|six| six == b"utf-8;"));
        let expected = reference(&line, utf8, &understood);
        if expected != Err(CommandError::Unknown) {
            prop_assert_eq!(sorted(read(&line, utf8, &understood)), sorted(expected), "{}", line.escape_ascii());
        }
    }
}
