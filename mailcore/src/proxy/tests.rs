use super::*;
use alloc::vec;
use alloc::vec::Vec;

fn whole(octets: &[u8]) -> ProxyHeader {
    let (header, len) = parse(octets).unwrap().unwrap();
    assert_eq!(len, octets.len());
    for cut in 0..len {
        assert_eq!(parse(&octets[..cut]), Ok(None), "cut at {cut}");
    }
    let mut unread = &[octets, b"EHLO"].concat()[..];
    assert_eq!(ProxyReader::new(Time::ZERO).poll(&mut unread), ProxyStep::Header(header.clone()));
    assert_eq!(unread, b"EHLO");
    header
}

/// A header of version 2 with this command, family and body.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [v2::SIGNATURE, &[command, family], &len, body].concat()
}

const V4: &[u8] = &[192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x67, 0, 25];

#[test]
fn version_1() {
    let header = whole(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n");
    assert_eq!(header.source, Some("192.0.2.7:4711".parse().unwrap()));
    assert_eq!(header.destination, Some("192.0.2.1:25".parse().unwrap()));
    let header = whole(b"PROXY TCP6 2001:db8::7 2001:db8::1 0 65535\r\n");
    assert_eq!(header.source, Some("[2001:db8::7]:0".parse().unwrap()));
    assert_eq!(whole(b"PROXY UNKNOWN\r\n"), ProxyHeader::default());
    assert_eq!(whole(b"PROXY UNKNOWN ffff:f...f:ffff what ever\r\n"), ProxyHeader::default());
    // The longest that the grammar has.
    let longest = [&b"PROXY UNKNOWN "[..], &[b'f'; V1_MAX - 16], b"\r\n"].concat();
    assert_eq!((longest.len(), whole(&longest)), (107, ProxyHeader::default()));
}

#[test]
fn version_1_malformed() {
    let longer = [&b"PROXY UNKNOWN "[..], &[b'f'; V1_MAX - 15], b"\r\n"].concat();
    assert_eq!(parse(&longer), Err(ProxyError::TooLong));
    assert_eq!(parse(&[&b"PROXY "[..], &[b' '; V1_MAX]].concat()), Err(ProxyError::TooLong));
    for (line, error) in [
        ("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\n", ProxyError::Malformed),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 4711\r\n", ProxyError::Malformed),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25 \r\n", ProxyError::Malformed),
        ("PROXY TCP4  192.0.2.7 192.0.2.1 4711 25\r\n", ProxyError::Malformed),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 4711 65536\r\n", ProxyError::Malformed),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 04711 25\r\n", ProxyError::Malformed),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 +1 25\r\n", ProxyError::Malformed),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 -1 25\r\n", ProxyError::Malformed),
        ("PROXY TCP4 192.0.2.300 192.0.2.1 1 25\r\n", ProxyError::Malformed),
        ("PROXY TCP4 2001:db8::7 2001:db8::1 1 25\r\n", ProxyError::Malformed),
        ("PROXY TCP6 192.0.2.7 192.0.2.1 1 25\r\n", ProxyError::Malformed),
        ("PROXY UDP4 192.0.2.7 192.0.2.1 1 25\r\n", ProxyError::Unsupported),
        ("PROXY tcp4 192.0.2.7 192.0.2.1 1 25\r\n", ProxyError::Unsupported),
        ("PROXY \r\n", ProxyError::Unsupported),
        ("proxy TCP4 192.0.2.7 192.0.2.1 1 25\r\n", ProxyError::NoHeader),
        ("EHLO c.example\r\n", ProxyError::NoHeader),
        ("PROXX", ProxyError::NoHeader),
        ("\r\nQUIT", ProxyError::NoHeader),
    ] {
        assert_eq!(parse(line.as_bytes()), Err(error), "{line}");
    }
}

#[test]
fn version_2() {
    let header = whole(&v2(0x21, 0x11, V4));
    assert_eq!(header.source, Some("192.0.2.7:4711".parse().unwrap()));
    assert_eq!(header.destination, Some("192.0.2.1:25".parse().unwrap()));
    let mut v6 = vec![0; 36];
    (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
    let header = whole(&v2(0x21, 0x21, &v6));
    assert_eq!(header.source, Some("[::1]:3".parse().unwrap()));
    assert_eq!(header.destination, Some("[::2]:4".parse().unwrap()));
    // An address of IPv4 is one, in whatever clothes.
    v6[..16].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7]);
    assert_eq!(whole(&v2(0x21, 0x21, &v6)).source, Some("192.0.2.7:3".parse().unwrap()));
    for own in
        [v2(0x20, 0x11, V4), v2(0x20, 0, b""), v2(0x20, 0xff, b"junk"), v2(0x21, 0, b""), v2(0x21, 0x31, &[0; 216])]
    {
        assert_eq!(whole(&own), ProxyHeader::default());
    }
    assert_eq!(whole(&v2(0x20, 0, &[7; V2_MAX - 16])), ProxyHeader::default());
}

#[test]
fn fields_of_version_2() {
    let ssl = b"\x20\x00\x25\x05\x00\x00\x00\x00\x21\x00\x07TLSv1.3\x22\x00\x03joe\x23\x00\x04AES7\x25\x00\x06RSA204";
    let body = [V4, b"\x01\x00\x04imap", b"\x02\x00\x0amx.example", b"\x04\x00\x02\0\0", b"\xee\x00\x00", ssl].concat();
    let header = whole(&v2(0x21, 0x11, &body));
    assert_eq!((header.alpn.as_deref(), header.authority.as_deref()), (Some(&b"imap"[..]), Some("mx.example")));
    let tls = header.tls.unwrap();
    assert!(tls.client_certificate && tls.client_verified);
    assert_eq!((tls.version.as_deref(), tls.common_name.as_deref()), (Some("TLSv1.3"), Some("joe")));
    assert_eq!(tls.cipher.as_deref(), Some("AES7"));

    // A certificate that was not verified, and one that was not shown: what was not shown is not good.
    for (ssl, certificate) in
        [(b"\x20\x00\x05\x03\x00\x00\x00\x01", true), (b"\x20\x00\x05\x01\x00\x00\x00\x00", false)]
    {
        let tls = whole(&v2(0x21, 0x11, &[V4, ssl].concat())).tls.unwrap();
        assert_eq!((tls.client_certificate, tls.client_verified), (certificate, false));
    }
    assert_eq!(whole(&v2(0x21, 0x11, &[V4, b"\x20\x00\x05\x00\x00\x00\x00\x00"].concat())).tls, None);
}

#[test]
fn checksums_are_verified() {
    let header = v2::tests::sealed(v2(0x21, 0x11, &[V4, b"\x03\x00\x04\0\0\0\0"].concat()));
    assert!(whole(&header).source.is_some());
    // A checksum in front of another field.
    let mut first = v2(0x21, 0x11, &[V4, b"\x03\x00\x04\0\0\0\0\x04\x00\x01x"].concat());
    assert_eq!(parse(&first), Err(ProxyError::Checksum));
    // All but the type of the checksum itself: a header may come without one.
    for octet in (16..header.len()).filter(|octet| *octet != 28) {
        let mut bent = header.clone();
        bent[octet] ^= 0x40;
        assert!(parse(&bent).is_err(), "octet {octet}");
    }
    first.truncate(20);
    assert_eq!(parse(&first), Ok(None));
}

#[test]
fn version_2_malformed() {
    let twice = [V4, b"\x02\x00\x01a\x02\x00\x01a"].concat();
    for (header, error) in [
        (v2(0x11, 0x11, V4), ProxyError::Unsupported),
        (v2(0x31, 0x11, V4), ProxyError::Unsupported),
        (v2(0x22, 0x11, V4), ProxyError::Unsupported),
        (v2(0x21, 0x12, V4), ProxyError::Unsupported),
        (v2(0x21, 0x41, V4), ProxyError::Unsupported),
        (v2(0x21, 0x11, &V4[1..]), ProxyError::Malformed),
        (v2(0x21, 0x21, V4), ProxyError::Malformed),
        (v2(0x21, 0x31, V4), ProxyError::Malformed),
        (v2(0x21, 0x11, &[V4, b"\x04"].concat()), ProxyError::Malformed),
        (v2(0x21, 0x11, &[V4, b"\x04\x00\x02x"].concat()), ProxyError::Malformed),
        (v2(0x21, 0x11, &[V4, b"\x04\xff\xff"].concat()), ProxyError::Malformed),
        (v2(0x21, 0x11, &[V4, b"\x03\x00\x03abc"].concat()), ProxyError::Malformed),
        (v2(0x21, 0x11, &[V4, b"\x02\x00\x02\r\n"].concat()), ProxyError::Malformed),
        (v2(0x21, 0x11, &[V4, b"\x20\x00\x04\x01\0\0\0"].concat()), ProxyError::Malformed),
        (v2(0x21, 0x11, &[V4, b"\x20\x00\x08\x01\0\0\0\0\x21\x00\x09"].concat()), ProxyError::Malformed),
        (v2(0x21, 0x11, &twice), ProxyError::Malformed),
        (v2(0x21, 0x11, &[0; V2_MAX - 15]), ProxyError::TooLong),
    ] {
        assert_eq!(parse(&header), Err(error), "{}", header.escape_ascii());
    }
    let endless = [v2::SIGNATURE, b"\x21\x11\xff\xff"].concat();
    assert_eq!(parse(&endless), Err(ProxyError::TooLong), "known before the octets come");
}

#[test]
fn the_end_and_the_deadline() {
    let mut reader = ProxyReader::new(Time::ZERO);
    let mut unread = &b"PROXY TCP4 "[..];
    assert_eq!(reader.poll(&mut unread), ProxyStep::NeedInput);
    assert_eq!((reader.deadline(), unread), (Time::ZERO + HEADER_TIMEOUT, &b"PROXY TCP4 "[..]));
    reader.handle_timeout(Time::ZERO);
    assert_eq!(reader.poll(&mut unread), ProxyStep::NeedInput);
    reader.handle_timeout(Time::ZERO + HEADER_TIMEOUT);
    assert_eq!(reader.poll(&mut unread), ProxyStep::Failed(ProxyError::Timeout));
    let mut unread = &b"PROXY UNKNOWN\r\n"[..];
    assert_eq!(reader.poll(&mut unread), ProxyStep::Failed(ProxyError::Timeout), "too late is too late");
    let mut reader = ProxyReader::new(Time::ZERO);
    reader.handle_eof();
    assert_eq!(reader.poll(&mut &b""[..]), ProxyStep::Failed(ProxyError::EndOfInput));
}

proptest::proptest! {
    #[test]
    fn any_octets(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600), version in 0..3) {
        let front: &[u8] = match version {
            0 => b"",
            1 => v1::SIGNATURE,
            _ => v2::SIGNATURE,
        };
        let octets = [front, &octets].concat();
        // What is known of the front stays known, however much comes behind it.
        let known = parse(&octets);
        for cut in 0..octets.len() {
            match parse(&octets[..cut]) {
                Ok(None) => proptest::prop_assert!(cut < V2_MAX),
                early => {
                    proptest::prop_assert_eq!(&early, &known);
                    break;
                }
            }
        }
    }
}
