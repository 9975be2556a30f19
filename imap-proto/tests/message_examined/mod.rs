//! What holds for every message, whatever its octets are. Shared with the fuzz target.

use pillarbox_imap::message::{Limits, Section, SectionText, Structure, UnknownEncoding, write_body, write_envelope};

/// Reads one IMAP value and gives how deep its lists are nested; fails on anything else.
fn depth_of_value(mut rest: &[u8]) -> Result<usize, String> {
    let (mut depth, mut deepest) = (0usize, 0);
    // Whether a value may come next, which is not so at once behind another (but for lists: bodies of a multipart follow
    // each other without a space).
    let mut behind_value = false;
    while let Some((&octet, behind)) = rest.split_first() {
        if behind_value && !matches!(octet, b' ' | b')' | b'(') {
            return Err(format!("no space before {:?}", rest.escape_ascii().to_string()));
        }
        rest = behind;
        match octet {
            b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
                behind_value = false;
                if rest.first() == Some(&b')') {
                    return Err("an empty list".into());
                }
            }
            b')' => {
                depth = depth.checked_sub(1).ok_or("too many closed")?;
                behind_value = true;
            }
            b' ' if behind_value && !matches!(rest.first(), None | Some(b' ' | b')')) => behind_value = false,
            b'"' => {
                loop {
                    let (&octet, behind) = rest.split_first().ok_or("an open quote")?;
                    rest = behind;
                    match octet {
                        b'"' => break,
                        b'\\' if matches!(rest.first(), Some(b'"' | b'\\')) => rest = &rest[1..],
                        0 | b'\r' | b'\n' | b'\\' | 0x80.. => return Err(format!("{octet:#x} in quotes")),
                        _ => {}
                    }
                }
                behind_value = true;
            }
            b'{' => {
                let end = rest.iter().position(|&b| b == b'}').ok_or("an open brace")?;
                let size: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().map_err(|_| "no number")?;
                rest = rest[end..].strip_prefix(b"}\r\n").ok_or("no line end behind the size")?;
                if rest.len() < size || rest[..size].contains(&0) {
                    return Err("a short literal, or NUL in it".into());
                }
                rest = &rest[size..];
                behind_value = true;
            }
            b'N' => {
                rest = rest.strip_prefix(b"IL").ok_or("no NIL")?;
                behind_value = true;
            }
            b'0'..=b'9' => {
                let end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
                rest = &rest[end..];
                behind_value = true;
            }
            _ => return Err(format!("{octet:#x} outside of a string")),
        }
    }
    if depth == 0 { Ok(deepest) } else { Err("lists are left open".into()) }
}

/// How deep the lists of an IMAP value are nested; panics if it is none.
pub(crate) fn assert_value(value: &[u8]) -> usize {
    depth_of_value(value).unwrap_or_else(|why| panic!("{why}: {}", value.escape_ascii()))
}

/// Takes a message apart and shows all of it.
pub(crate) fn examine(raw: &[u8]) {
    let limits = Limits::default();
    let structure = Structure::parse(raw, &limits);
    for extended in [false, true] {
        let mut out = Vec::new();
        write_body(&structure, raw, &limits, extended, &mut out);
        assert_value(&out);
    }
    let mut out = Vec::new();
    write_envelope(raw, &limits, &mut out);
    assert_value(&out);
    let parts = structure.parts();
    assert_eq!(parts[0].whole(), 0..raw.len());
    for (index, part) in parts.iter().enumerate() {
        assert!(part.header().end <= part.body().start && part.body().end <= raw.len());
        assert_eq!(part.lines(), raw[part.body()].iter().filter(|&&b| b == b'\n').count());
        let mut start = part.body().start;
        for child in structure.children(index) {
            // Parts lie within what holds them, one behind the other.
            assert!(
                child > index && parts[child].header().start >= start && parts[child].body().end <= part.body().end
            );
            start = parts[child].body().end;
        }
    }
    for path in [vec![], vec![1], vec![2], vec![2, 1], vec![2, 1, 1], vec![3]] {
        examine_binary(&structure, raw, &path);
        for text in [
            SectionText::Full,
            SectionText::Header,
            SectionText::Text,
            SectionText::Mime,
            SectionText::HeaderFields { names: vec!["from".into(), "subject".into()], not: false },
            SectionText::HeaderFields { names: vec!["from".into()], not: true },
        ] {
            let Some(data) = structure.section(raw, &Section { path: path.clone(), text }) else { continue };
            let whole = data.chunks(raw).collect::<Vec<_>>().concat();
            assert_eq!(whole.len(), data.len());
            for (offset, count) in [(0, 5), (3, 20), (whole.len() as u64, 1), (u64::MAX, u64::MAX), (1, u64::MAX)] {
                let from = usize::try_from(offset).unwrap().min(whole.len());
                let to = from.saturating_add(usize::try_from(count).unwrap()).min(whole.len());
                assert_eq!(data.partial(offset, count).chunks(raw).collect::<Vec<_>>().concat(), whole[from..to]);
            }
        }
    }
}

/// What is told of a part's content is as long as was announced, and a range of it is a range of all.
fn examine_binary(structure: &Structure, raw: &[u8], path: &[u32]) {
    let Some(Ok(binary)) = structure.binary(raw, path) else { return };
    let told = |partial| {
        let (mut all, mut pieces) = (Vec::new(), binary.pieces(raw, partial));
        while let Some(piece) = pieces.next_piece() {
            assert!(!piece.is_empty());
            all.extend_from_slice(piece);
        }
        all
    };
    let whole = told(None);
    for partial in [None, Some((0, 5)), Some((3, 20)), Some((whole.len() as u64, 1)), Some((u64::MAX, u64::MAX))] {
        let now = told(partial);
        let (from, count) = partial.unwrap_or((0, u64::MAX));
        let from = usize::try_from(from).unwrap().min(whole.len());
        let to = from.saturating_add(usize::try_from(count).unwrap()).min(whole.len());
        assert_eq!(now, whole[from..to]);
        match binary.measure(raw, partial) {
            Ok(measured) => assert_eq!(measured, (now.len() as u64, now.contains(&0))),
            Err(UnknownEncoding) => {
                assert!(binary.measure(raw, None).is_err(), "a part of it was broken, so all of it is");
            }
        }
    }
}
