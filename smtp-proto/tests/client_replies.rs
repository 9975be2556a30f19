//! Replies of servers in the field, from the conformance material.

#[path = "../../mailcore/tests/shared/mod.rs"]
mod shared;

use pillarbox_smtp::client::Capabilities;
use pillarbox_smtp::reply_parser::{RawReply, ReplyError, ReplyLimits, ReplyParser};

fn parse(wire: &[u8]) -> Result<Vec<RawReply<'_>>, ReplyError> {
    let mut parser = ReplyParser::new(ReplyLimits::default());
    let (mut input, mut replies) = (wire, Vec::new());
    while let Some(reply) = parser.parse(&mut input)? {
        replies.push(reply);
    }
    assert!(input.is_empty() && !parser.is_inside_reply(), "what is left: {}", input.escape_ascii());
    Ok(replies)
}

#[test]
fn ehlo_replies() {
    let Some(suite) = shared::suite("smtp/ehlo-replies.json") else { return };
    let cases = suite["cases"].as_array().expect("a list of cases");
    for case in cases {
        let wire = shared::text(case, "reply");
        let Some(expected) = case["expect"].as_object() else {
            let parsed = match shared::text(case, "expect") {
                // Accepting is left to the client there; ours wants CRLF as everybody does.
                text if text.starts_with("bare LF") => {
                    let mut parser = ReplyParser::new(ReplyLimits::default());
                    assert_eq!(parser.parse(&mut wire.as_bytes()), Ok(None));
                    continue;
                }
                text if text.contains("error") => parse(wire.as_bytes()).map(|replies| replies.len()).ok(),
                _ => {
                    assert_eq!(parse(wire.as_bytes()).expect(wire).len(), 1, "{wire:?}");
                    continue;
                }
            };
            assert_eq!(parsed, None, "{wire:?} is no reply");
            continue;
        };
        let replies = parse(wire.as_bytes()).expect(wire);
        assert_eq!(replies.len(), 1, "{wire:?}");
        let capabilities = Capabilities::from_reply(&replies[0]);
        for (keyword, parameters) in expected {
            let found: Vec<&str> = capabilities.parameters(keyword).expect(keyword).collect();
            let wanted: Vec<&str> = parameters.as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
            assert_eq!(found, wanted, "{keyword} in {wire:?}");
        }
        assert_eq!(capabilities.has("SIZE"), wire.to_ascii_uppercase().contains("SIZE"), "{wire:?}");
    }
    assert!(cases.len() > 15);
}

#[test]
fn replies_of_servers_in_the_field() {
    let Some(folder) = std::env::var_os("PILLARBOX_SHARED") else { return };
    let folder = std::path::Path::new(&folder).join("conformance/smtp/mailkit");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        // The files were stored with the line ends of the author's system, some with an empty line at the end.
        let text = std::fs::read_to_string(&path).unwrap();
        let wire: String = text.lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
        let replies = parse(wire.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_string_lossy();
        assert_eq!(replies.len(), if name.starts_with("pipelined") { 2 } else { 1 }, "{name}");
        let reply = replies[0].to_reply();
        assert!(!reply.text().contains('\r') && reply.lines().count() == replies[0].lines().count());
        if name.starts_with("comcast-ehlo") {
            let capabilities = Capabilities::from_reply(&replies[0]);
            assert_eq!(capabilities.size_max(), Some(36_700_160), "{name}");
            assert!(capabilities.has("8bitmime"), "{name}");
            let offers_auth =
                capabilities.parameters("AUTH").is_some_and(|mut words| words.any(|word| word == "PLAIN"));
            assert_eq!(offers_auth, wire.contains("AUTH") && wire.contains(" PLAIN"), "{name}");
        }
        count += 1;
    }
    assert!(count > 30, "{count} replies in {}", folder.display());
}
