//! Records, policies and fields of mail authentication: no panic, places inside the input, and what was parsed prints and
//! parses again. The first octet says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox_auth::authres::{AuthenticationResults, Trusted};
use pillarbox_auth::dane::{Tlsa, subject_public_key_info, usable};
use pillarbox_auth::dkim::{KeyRecord, read_private_key};
use pillarbox_auth::dmarc::{self, PublicSuffixList, Sections};
use pillarbox_auth::from::{Authors, Limits};
use pillarbox_auth::{idn, mta_sts, spf, tls_rpt};
use pillarbox_core::dns::{Name, Record, ZoneFile};
use pillarbox_core::header::{Field, Fields};

fuzz_target!(|data: &[u8]| {
    let Some((&which, data)) = data.split_first() else { return };
    match which % 14 {
        0 => spf_record(data),
        1 => dkim_key(data),
        2 => dmarc_record(data),
        3 => mta_sts(data),
        4 => tls_rpt(data),
        5 => tlsa(data),
        6 => authentication_results(data),
        7 => forged(data),
        8 => zone_file(data),
        9 => authors(data),
        10 => names(data),
        11 => drop(read_private_key(data)),
        12 => public_suffixes(data),
        _ => drop(subject_public_key_info(data).map(|part| assert!(inside(data, part)))),
    }
});

/// Whether a part is one of the octets themselves.
fn inside(data: &[u8], part: &[u8]) -> bool {
    data.as_ptr_range().contains(&part.as_ptr()) || part.is_empty()
}

fn spf_record(data: &[u8]) {
    match spf::Record::parse(data) {
        Ok(record) => {
            let printed = record.to_string();
            let again = spf::Record::parse(printed.as_bytes()).expect("a printed record parses");
            assert_eq!(again.to_string(), printed);
            assert_eq!(again.terms().count(), record.terms().count());
        }
        Err(error) => assert!(error.at <= data.len(), "{error}"),
    }
}

fn dkim_key(data: &[u8]) {
    let Ok(key) = KeyRecord::parse(data) else { return };
    let text = KeyRecord::text(key.public_key()).expect("both kinds have a text");
    let again = KeyRecord::parse(text.as_bytes()).expect("a printed key parses");
    assert_eq!((again.public_key(), again.bits()), (key.public_key(), key.bits()));
}

fn dmarc_record(data: &[u8]) {
    let Ok(record) = dmarc::Record::parse(data) else { return };
    let printed = record.to_string();
    assert_eq!(dmarc::Record::parse(printed.as_bytes()).as_ref(), Ok(&record), "{printed}");
}

fn mta_sts(data: &[u8]) {
    if let Ok(policy) = mta_sts::Policy::parse(data) {
        assert_eq!(mta_sts::Policy::parse(policy.to_string().as_bytes()), Ok(policy));
    }
    let _ = mta_sts::StsRecord::parse(data);
    if let Ok(entry) = mta_sts::CacheEntry::parse(data) {
        assert_eq!(mta_sts::CacheEntry::parse(entry.to_string().as_bytes()), Ok(entry));
    }
}

fn tls_rpt(data: &[u8]) {
    let _ = tls_rpt::Destinations::parse(data);
}

fn tlsa(data: &[u8]) {
    let Some((&[usage, selector, matching], data)) = data.split_first_chunk() else { return };
    let record = Record::Tlsa { usage, selector, matching, data: data.to_vec() };
    let is_usable = Tlsa::new(&record).is_ok();
    assert_eq!(usable([&record]).len(), usize::from(is_usable));
}

fn authentication_results(data: &[u8]) {
    match AuthenticationResults::parse(data) {
        Ok(results) => {
            let field = results.to_field();
            let value = field.split_once(':').expect("a field has a colon").1;
            assert_eq!(AuthenticationResults::parse(value.as_bytes()).as_ref(), Ok(&results), "{field}");
            assert_eq!(AuthenticationResults::parse(results.to_string().as_bytes()), Ok(results), "{field}");
            assert!(field.lines().all(|line| line.len() <= 998), "{field}");
        }
        Err(error) => assert!(error.at <= data.len(), "{error}"),
    }
}

/// What is left without the forged fields has none.
fn forged(data: &[u8]) {
    let trusted = Trusted::new(["mx.example", "b\u{fc}cher.example"]);
    let mut kept = Vec::new();
    let mut at = 0;
    for place in trusted.forged(data) {
        kept.extend_from_slice(&data[at..place.start]);
        at = place.end;
    }
    kept.extend_from_slice(&data[at..]);
    assert_eq!(trusted.forged(&kept).next(), None);
    let others = |message: &[u8]| {
        let is_other = |field: &Field<'_>| trusted.judge(field).is_none();
        Fields::new(message).filter(is_other).map(|field| field.raw.to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(others(&kept), others(data));
}

fn zone_file(data: &[u8]) {
    if let Err(error) = ZoneFile::parse(data) {
        let lines = data.iter().filter(|octet| **octet == b'\n').count();
        assert!((1..=lines + 1).contains(&error.line) && (1..=data.len() + 1).contains(&error.column), "{error}");
    }
}

fn authors(data: &[u8]) {
    let field = [b"From:", data, b"\r\n\r\n"].concat();
    let authors = Authors::read(&field, &Limits::default());
    if let Ok(domain) = authors.domain() {
        assert_eq!(authors.domains(), [domain.clone()]);
    }
    let Ok(mailboxes) = authors.mailboxes() else { return };
    // Each is shown by its address, and that reads as the same.
    for mailbox in mailboxes {
        let again = format!("From: <{mailbox}>\r\n\r\n");
        let again = Authors::read(again.as_bytes(), &Limits::default());
        assert_eq!(again.mailboxes(), Ok(std::slice::from_ref(mailbox)));
    }
}

fn names(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(ascii) = idn::to_ascii(text) {
        assert!(ascii.is_ascii());
        assert_eq!(idn::to_ascii(&ascii).as_deref(), Ok(&*ascii));
        assert_eq!(
            idn::to_ascii(&idn::to_unicode(&ascii)).map(|again| again.to_ascii_lowercase()),
            Ok(ascii.to_ascii_lowercase())
        );
    }
    let _ = idn::to_unicode(text);
}

fn public_suffixes(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(list) = PublicSuffixList::parse(text, Sections::All) else { return };
    let name = "a.b.c.example".parse::<Name>().expect("a name");
    if let Some(domain) = list.organizational_domain(&name) {
        assert!(name.is_within(&domain));
    }
}
