//! Identifiers of messages, out of what they are called on disk.

use pillarbox_imap::types::ObjectId;

/// A message's identifier (RFC 8474 §5.1). Names and what other programs put in their place hold what identifiers may not: such octets are
/// written as `_` and two digits. What is longer than an identifier may be is told apart by its checksum.
pub(super) fn email_id(guid: &[u8]) -> ObjectId {
    let mut text = String::from("M");
    for octet in guid {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => text.push(char::from(*octet)),
            _ => text.push_str(&format!("_{octet:02x}")),
        }
    }
    if text.len() > ObjectId::LEN_MAX {
        // FNV-1a: two long names of one message would have to begin alike and have the same.
        let hash = guid.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        text.replace_range(..1, "L");
        text.truncate(ObjectId::LEN_MAX - 17);
        text.push_str(&format!("_{hash:016x}"));
    }
    ObjectId::new(&text).expect("all its letters are allowed")
}

/// The identity on disk of which this is the [identifier](email_id); none if it was too long for one, or if it is no identifier of ours.
pub(super) fn guid_of(id: &ObjectId) -> Option<Vec<u8>> {
    let mut rest = id.as_str().strip_prefix('M')?.bytes();
    let mut guid = Vec::new();
    while let Some(octet) = rest.next() {
        guid.push(match octet {
            b'_' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            octet => octet,
        });
    }
    Some(guid).filter(|guid| email_id(guid) == *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_identifier_may_hold_is_written_otherwise() {
        assert_eq!(email_id(b"1700000000.M1P2.host-a").as_str(), "M1700000000_2eM1P2_2ehost-a");
        assert_eq!(email_id(b"00ab").as_str(), "M00ab");
        assert_ne!(email_id(b"a_2eb"), email_id(b"a.b"));
        let (one, two) = ([&[b'.'; 250][..], b"1"].concat(), [&[b'.'; 250][..], b"2"].concat());
        assert_eq!(email_id(&one).as_str().len(), 255);
        assert_ne!(email_id(&one), email_id(&two));
        assert!(ObjectId::new(email_id(b"\xFF\0 ").as_str()).is_some());
        for guid in [&b"1700000000.M1P2.host-a"[..], b"00ab", b"a_2eb", b"\xFF\0 "] {
            assert_eq!(guid_of(&email_id(guid)).as_deref(), Some(guid));
        }
        for other in [&*email_id(&one).to_string(), "F00ab", "Ma_", "Ma_2", "Ma_2E", "Ma_61"] {
            assert_eq!(guid_of(&ObjectId::new(other).unwrap()), None, "{other}");
        }
    }
}
