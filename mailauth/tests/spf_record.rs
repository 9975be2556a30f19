//! Records: what parses to what, which errors are seen where, and that what was parsed prints and parses again.

use pillarbox_auth::spf::{Mechanism, Qualifier, Record, RecordError, RecordFault, Term};
use proptest::prelude::*;

fn parse(text: &str) -> Record {
    Record::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[test]
fn every_term() {
    let record = parse(
        "V=sPf1 +all -include:a.%{d2} ~a ?a:b.example/24//64 MX//128 mx:b.example/0 PTR ptr:%{i}.x.c \
         ip4:192.0.2.1 ip4:192.0.2.0/24 ip6:2001:db8::1 IP6:::/0 exists:%{l1r+-}.x%%y%_z.example. Redirect=r.example \
         EXP=e.example. x.y-z_1=%{c}a=b/c:d",
    );
    assert_eq!(record.terms().count(), 16);
    assert_eq!(
        record.to_string(),
        "v=spf1 all -include:a.%{d2} ~a ?a:b.example/24//64 mx mx:b.example/0 ptr ptr:%{i}.x.c ip4:192.0.2.1 \
         ip4:192.0.2.0/24 ip6:2001:db8::1 ip6:::/0 exists:%{l1r+-}.x%%y%_z.example. redirect=r.example exp=e.example. \
         x.y-z_1=%{c}a=b/c:d"
    );
    assert!(matches!(record.terms().next(), Some(Term::Directive(Qualifier::Pass, Mechanism::All))));
    let Some(Term::Directive(Qualifier::Neutral, Mechanism::A { domain, prefixes })) = record.terms().nth(3) else {
        panic!()
    };
    assert_eq!((domain.unwrap().as_str(), prefixes.ip4, prefixes.ip6), ("b.example", 24, 64));
    assert_eq!(record.terms().nth(15), Some(Term::Unknown { name: "x.y-z_1", value: "%{c}a=b/c:d" }));
    assert_eq!(record.terms().nth(16), None);
    assert_eq!(record.explanation().unwrap().as_str(), "e.example.");
    // RFC 7208 §5.1: void beside an `all`.
    assert_eq!(record.redirect(), None);
    assert_eq!(parse("v=spf1 redirect=r.example a").redirect().unwrap().as_str(), "r.example");
    assert_eq!(parse("v=spf1").terms().count(), 0);
    assert_eq!(parse("v=spf1   ").to_string(), "v=spf1");
    // A domain may hold slashes and colons.
    assert_eq!(parse("v=spf1 a:foo:bar/baz.example.com/8").to_string(), "v=spf1 a:foo:bar/baz.example.com/8");
    assert_eq!(parse("v=spf1 a:%{d/}//8").to_string(), "v=spf1 a:%{d/}//8");
}

#[test]
fn equal_by_terms() {
    assert_eq!(parse("v=spf1  +a/32 -all "), parse("V=SPF1 a -ALL"));
    assert_ne!(parse("v=spf1 a -all"), parse("v=spf1 a ~all"));
    assert_ne!(parse("v=spf1 a:b.example"), parse("v=spf1 a"));
}

#[test]
fn what_is_wrong_and_where() {
    use RecordFault::*;
    for (text, fault, at) in [
        ("", Version, 0),
        ("v=spf10", Version, 0),
        ("v=spf1,a", Version, 0),
        (" v=spf1", Version, 0),
        ("v=spf1\ta", Version, 0),
        ("v=spf1 a\tmx", UnexpectedOctet, 8),
        ("v=spf1 a:ex\0.example", UnexpectedOctet, 11),
        ("v=spf1 a:é.example", UnexpectedOctet, 9),
        ("v=spf1 moo", UnknownMechanism, 7),
        ("v=spf1 -", UnknownMechanism, 7),
        ("v=spf1 --all", UnknownMechanism, 7),
        ("v=spf1 all.", UnknownMechanism, 7),
        ("v=spf1 ip:192.0.2.1", UnknownMechanism, 7),
        ("v=spf1 redirect:b.example", UnknownMechanism, 7),
        ("v=spf1 :b.example", UnknownMechanism, 7),
        ("v=spf1 /24", UnknownMechanism, 7),
        ("v=spf1 =all", ModifierName, 7),
        ("v=spf1 1up=x", ModifierName, 7),
        ("v=spf1 -x=y", ModifierName, 7),
        ("v=spf1 a b=c d\u{7f}=e", UnexpectedOctet, 14),
        ("v=spf1 x=%", Macro, 9),
        ("v=spf1 x=a%b", Macro, 10),
        ("v=spf1 all:b.example", Trailing, 10),
        ("v=spf1 all/8", Trailing, 10),
        ("v=spf1 ptr/8", Trailing, 10),
        ("v=spf1 include", Missing, 14),
        ("v=spf1 include/8", Missing, 14),
        ("v=spf1 include:", Missing, 15),
        ("v=spf1 exists", Missing, 13),
        ("v=spf1 a:", Missing, 9),
        ("v=spf1 a:/24", Missing, 9),
        ("v=spf1 mx:", Missing, 10),
        ("v=spf1 ptr:", Missing, 11),
        ("v=spf1 ip4", Missing, 10),
        ("v=spf1 ip4:", Missing, 11),
        ("v=spf1 ip4/8", Missing, 10),
        ("v=spf1 exp=", Missing, 11),
        ("v=spf1 redirect= a", Missing, 16),
        ("v=spf1 exp=a.b exp=a.b", Repeated, 15),
        ("v=spf1 redirect=a.b a redirect=a.b", Repeated, 22),
        ("v=spf1 ip4:192.0.2", Ipv4, 11),
        ("v=spf1 ip4:192.0.2.1:25", Ipv4, 11),
        ("v=spf1 ip4:192.0.2.01", Ipv4, 11),
        ("v=spf1 ip4:2001:db8::1", Ipv4, 11),
        ("v=spf1 ip6:192.0.2.1", Ipv6, 11),
        ("v=spf1 ip6::1::1", Ipv6, 11),
        ("v=spf1 ip6:fe80::1%eth0", Ipv6, 11),
        ("v=spf1 ip4:192.0.2.1/33", Prefix, 20),
        ("v=spf1 ip4:192.0.2.1/08", Prefix, 20),
        ("v=spf1 ip4:192.0.2.1/", Prefix, 20),
        ("v=spf1 ip4:192.0.2.1//24", Prefix, 20),
        ("v=spf1 ip4:192.0.2.1/+8", Prefix, 20),
        ("v=spf1 ip6:::1/129", Prefix, 14),
        ("v=spf1 ip6:::1/999999999999", Prefix, 14),
        ("v=spf1 a/33", Prefix, 8),
        ("v=spf1 a/", Prefix, 8),
        ("v=spf1 a//129", Prefix, 9),
        ("v=spf1 a/24/64", Prefix, 11),
        ("v=spf1 a/24x", Prefix, 8),
        ("v=spf1 a:b.example/24//64/8", TopLabel, 11),
        ("v=spf1 a:192.0.2.1", TopLabel, 17),
        ("v=spf1 a:localhost", TopLabel, 9),
        ("v=spf1 a:museum.", TopLabel, 9),
        ("v=spf1 a:b.-c", TopLabel, 11),
        ("v=spf1 a:b.c-", TopLabel, 11),
        ("v=spf1 a:b.c_d", TopLabel, 11),
        ("v=spf1 a:b.c..", TopLabel, 13),
        ("v=spf1 a:%{d}com", TopLabel, 9),
        ("v=spf1 exists:b.example/24", TopLabel, 16),
        ("v=spf1 exp=-all", TopLabel, 11),
        ("v=spf1 a:%{d", Macro, 9),
        ("v=spf1 a:x%(d).example", Macro, 10),
        ("v=spf1 a:%{}.example", Macro, 9),
        ("v=spf1 a:%{x}", Macro, 9),
        ("v=spf1 a:%{d0}", Macro, 9),
        ("v=spf1 a:%{d00r}", Macro, 9),
        ("v=spf1 a:%{dr2}", Macro, 9),
        ("v=spf1 a:%{d:}", Macro, 9),
        ("v=spf1 exp=%{r}.example", ExplanationMacro, 11),
        ("v=spf1 a:x.%{t}", ExplanationMacro, 11),
    ] {
        let error = Record::parse(text.as_bytes()).expect_err(text);
        assert_eq!((error.fault, error.at), (fault, at), "{text}");
    }
    let long = |len: usize| format!("v=spf1{}", " ".repeat(len - 6));
    assert!(Record::parse(long(65_535).as_bytes()).is_ok());
    let error = Record::parse(long(65_536).as_bytes()).unwrap_err();
    assert_eq!((error.fault, error.at), (TooLong, 65_535));
    assert_eq!(error.to_string(), "the record is too long at octet 65535");
}

#[test]
fn the_most_terms_that_fit() {
    let record = parse(&format!("v=spf1{}", " a".repeat((65_535 - 6) / 2)));
    assert_eq!(record.terms().count(), 32_764);
}

prop_compose! {
    fn domain_spec()(
        parts in prop::collection::vec(
            prop_oneof!["[!-$&-~]{1,5}", "%\\{[slodiphvSLODIPHV][1-9]{0,3}[rR]?[.+,/_=-]{0,3}\\}", Just("%%".into()), Just("%_".into()), Just("%-".into())],
            0..6),
        end in prop_oneof![Just(".example".to_owned()), Just(".xn--p1ai.".to_owned()), Just("%{d2}".to_owned())],
    ) -> String {
        parts.concat() + &end
    }
}

fn prefixes() -> impl Strategy<Value = String> {
    (prop::option::of(0..=32_u8), prop::option::of(0..=128_u8)).prop_map(|(ip4, ip6)| {
        ip4.map_or(String::new(), |ip4| format!("/{ip4}")) + &ip6.map_or(String::new(), |ip6| format!("//{ip6}"))
    })
}

fn term() -> impl Strategy<Value = String> {
    let mechanism = prop_oneof![
        Just("all".to_owned()),
        domain_spec().prop_map(|domain| format!("include:{domain}")),
        prefixes().prop_map(|prefixes| format!("a{prefixes}")),
        (domain_spec(), prefixes()).prop_map(|(domain, prefixes)| format!("MX:{domain}{prefixes}")),
        Just("ptr".to_owned()),
        domain_spec().prop_map(|domain| format!("ptr:{domain}")),
        (any::<std::net::Ipv4Addr>(), 0..=32_u8).prop_map(|(ip, prefix)| format!("ip4:{ip}/{prefix}")),
        (any::<std::net::Ipv6Addr>(), 0..=128_u8).prop_map(|(ip, prefix)| format!("ip6:{ip}/{prefix}")),
        domain_spec().prop_map(|domain| format!("exists:{domain}")),
    ];
    prop_oneof![
        4 => ("[-+~?]?", mechanism).prop_map(|(qualifier, mechanism)| qualifier + &mechanism),
        1 => ("x[a-z0-9_.-]{0,5}", "[!-$&-~]{0,8}").prop_map(|(name, value)| format!("{name}={value}")),
    ]
}

proptest! {
    #[test]
    fn right_records_print_and_parse_again(terms in prop::collection::vec((term(), 1..3_usize), 0..12), redirect in prop::option::of(domain_spec())) {
        let mut text = "v=spf1".to_owned();
        for (term, spaces) in &terms {
            text += &" ".repeat(*spaces);
            text += term;
        }
        if let Some(domain) = &redirect {
            text += &format!(" redirect={domain}");
        }
        let record = parse(&text);
        prop_assert_eq!(record.terms().count(), terms.len() + usize::from(redirect.is_some()));
        let printed = record.to_string();
        prop_assert_eq!(&parse(&printed), &record);
        prop_assert_eq!(parse(&printed).to_string(), printed);
    }

    #[test]
    fn any_text_is_a_record_or_has_an_error_in_it(text in "v=spf1 ([-+~?:/=%{}. 0-9]|[ -~]|all|include:|a|mx:|ptr|ip4:|ip6:|exists:|redirect=|exp=|%\\{[a-z]|192\\.0\\.2\\.1|\\PC){0,20}") {
        match Record::parse(text.as_bytes()) {
            Ok(record) => prop_assert_eq!(Record::parse(record.to_string().as_bytes()), Ok(record)),
            Err(RecordError { at, .. }) => prop_assert!(at <= text.len()),
        }
    }

    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Record::parse(&octets);
        let _ = Record::parse(&[b"v=spf1 ", &octets[..]].concat());
    }
}
