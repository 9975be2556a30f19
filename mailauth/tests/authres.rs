//! Authentication-Results (RFC 8601).

#![allow(clippy::print_stdout, reason = "the tables of the suites are printed")]

#[path = "../../mailcore/tests/shared/mod.rs"]
mod shared;

use pillarbox_auth::authres::{
    AuthenticationResults, AuthresFault, Keyword, MethodResult, Property, PropertyType, Trusted,
};
use pillarbox_core::header::Fields;
use proptest::prelude::*;

fn parse(value: &str) -> Result<AuthenticationResults, (AuthresFault, usize)> {
    AuthenticationResults::parse(value.as_bytes()).map_err(|error| (error.fault, error.at))
}

/// The value of a field written on one line, or the fault.
fn read(value: &[u8]) -> String {
    match AuthenticationResults::parse(value) {
        Ok(results) => results.to_string(),
        Err(error) => format!("! {error}"),
    }
}

/// Where the suite is wrong or stricter, and why we differ.
const DIFFERENT: [(&str, &str); 1] = [(
    "Authentication-Results: mail.bmsi.com; iprev=pass policy.iprev=2001:748:100:40::2:2 (mout0.freenet.de); spf=none \
     smtp.mailfrom=markuslaudi@freenet.de",
    "an address of IPv6 without quotes is read, as hosts write it",
)];

#[test]
fn strings_of_a_python_library() {
    let Some(suite) = shared::suite("authres/authres-1.2.0.json") else { return };
    let cases = suite["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 23);
    let mut different = Vec::new();
    for case in cases {
        let header = shared::text(case, "header");
        let value = header.split_once(':').unwrap().1;
        let result = parse(value);
        let agrees = match (&result, case.get("error")) {
            (Err(_), Some(_)) => true,
            (Ok(results), None) => {
                results.authserv_id.as_str() == shared::text(case, "authserv_id")
                    && results.results.iter().map(as_json).collect::<Vec<_>>() == *case["results"].as_array().unwrap()
            }
            _ => false,
        };
        if !agrees {
            different.push(header);
        }
        println!("{} {}", if agrees { "pass   " } else { "differs" }, read(value.as_bytes()));
        if let Ok(results) = &result {
            assert_eq!(parse(&results.to_string()).as_ref(), Ok(results));
        }
        cut_everywhere(value.as_bytes());
    }
    assert_eq!(different, DIFFERENT.map(|(header, _)| header));
}

/// A field that ends early is read or refused, and what is read can be written.
fn cut_everywhere(value: &[u8]) {
    for end in 0..value.len() {
        if let Ok(results) = AuthenticationResults::parse(&value[..end]) {
            assert_eq!(AuthenticationResults::parse(results.to_string().as_bytes()), Ok(results));
        }
    }
}

fn as_json(result: &MethodResult) -> serde_json::Value {
    let properties = result.properties.iter();
    serde_json::json!({
        "method": result.method.as_str(),
        "method_version": result.version.map(|version| version.to_string()),
        "result": result.result.as_str(),
        "reason": result.reason.as_ref().map(|reason| reason.as_str()),
        "properties": properties.map(|p| [p.kind.as_str(), p.name.as_str(), p.value.as_str()]).collect::<Vec<_>>(),
    })
}

/// Every Authentication-Results of the messages of a mail reader's tests, as we read them. That reader refuses what stands
/// without quotes (the first two `parsing_error` files); a field without an identifier is nobody's.
const MESSAGES: [(&str, &[&str]); 21] = [
    (
        "alignment-auid_not_in_sdid.eml",
        &["example.net; dkim=pass (good signature) header.d=example.net header.i=joe@football.example.com"],
    ),
    ("alignment-from_not_in_sdid.eml", &["example.net; dkim=pass (good signature) header.d=unrelated.com"]),
    ("dkim-unknown_result.eml", &["example.net; dkim=timeout header.d=example.com"]),
    ("fakePayPal.eml", &["example.net; dkim=pass (good signature) header.d=unrelated.com"]),
    (
        "multiple_arh-newest_no_authserv.eml",
        &["! no value", "unrelated.com; dkim=pass header.d=unrelated.com", "! no value"],
    ),
    (
        "multiple_arh-newest_no_result.eml",
        &[
            "example.net; none",
            "unrelated.com; dkim=pass header.d=unrelated.com",
            "example.net; dkim=pass header.d=example.com",
        ],
    ),
    (
        "multiple_arh-newest_parsing_error_01.eml",
        &[
            "example.net; dkim=pass header.d=error.example.com header.b=\"/d5r\"",
            "unrelated.com; dkim=pass header.d=unrelated.com",
            "example.net; dkim=pass header.d=example.com",
        ],
    ),
    (
        "multiple_arh-newest_parsing_error_02.eml",
        &[
            "\"example/net\"; dkim=pass header.d=error.example.com",
            "unrelated.com; dkim=pass header.d=unrelated.com",
            "\"example/net\"; dkim=pass header.d=example.com",
        ],
    ),
    (
        "multiple_arh-newest_unknown_method.eml",
        &[
            "example.net; foo=pass",
            "unrelated.com; dkim=pass header.d=unrelated.com",
            "example.net; dkim=pass header.d=example.com",
        ],
    ),
    (
        "multiple_arh-same_and_different_authserv.eml",
        &[
            "example.net; spf=pass",
            "example.net; dkim=pass header.d=example.com",
            "example.net; dkim=pass header.d=football.example.com",
            "foo.example.net; dkim=pass header.d=foo.example.com",
            "unrelated.com; dkim=pass header.d=unrelated.com",
            "! no value",
            "example.net; dkim=pass header.d=last.example.com",
        ],
    ),
    (
        "multiple_dkim_results.eml",
        &[
            "example.net; dkim=fail header.d=example.com; dkim=pass header.d=unrelated.org; dkim=pass header.d=example.com; \
           dkim=fail reason=\"test failure\" header.d=example.com; dkim=fail reason=\"test failure signed by unrelated\" \
           header.d=unrelated.org; dkim=fail header.d=example.com; dkim=pass header.d=example.org",
        ],
    ),
    (
        "multiple_spf_and_dmarc_results.eml",
        &[
            "example.net; spf=fail; spf=pass; spf=none; spf=softfail; spf=policy; spf=neutral; spf=temperror; spf=permerror; \
           dmarc=fail; dmarc=pass; dmarc=permerror; dmarc=none; dmarc=temperror",
        ],
    ),
    (
        "rfc6376-A.2-arh-failed-no_reason.eml",
        &["example.net; spf=pass smtp.mailfrom=example.com; dkim=fail header.d=example.com"],
    ),
    (
        "rfc6376-A.2-arh-failed.eml",
        &["example.net; spf=pass smtp.mailfrom=example.com; dkim=fail reason=\"bad signature\" header.d=example.com"],
    ),
    (
        "rfc6376-A.2-arh-valid-a_tag.eml",
        &["example.net; spf=pass smtp.mailfrom=example.com; dkim=pass (good signature) header.d=example.com \
           header.a=rsa-sha256"],
    ),
    (
        "rfc6376-A.2-arh-valid-a_tag_sha1.eml",
        &["example.net; spf=pass smtp.mailfrom=example.com; dkim=pass (good signature) header.d=example.com \
           header.a=rsa-sha1"],
    ),
    (
        "rfc6376-A.2-arh-valid-auid.eml",
        &[
            "example.net; spf=pass smtp.mailfrom=example.com; dkim=pass (good signature) header.i=joe@football.example.com",
        ],
    ),
    (
        "rfc6376-A.2-arh-valid-no_sdid_or_auid.eml",
        &["example.net; spf=pass smtp.mailfrom=example.com; dkim=pass (good signature)"],
    ),
    (
        "rfc6376-A.2-arh-valid-sdid_and_auid.eml",
        &["example.net; spf=pass smtp.mailfrom=example.com; dkim=pass (good signature) header.d=example.com \
           header.i=joe@football.example.com"],
    ),
    (
        "rfc6376-A.2-arh-valid.eml",
        &["example.net; spf=pass smtp.mailfrom=example.com; dkim=pass (good signature) header.d=example.com"],
    ),
    (
        "rfc6376-A.2-arh-valid_relaxed.eml",
        &["example.net; spf=pass smtp.mailfrom=example.com; dkim=pass (good signature) header.d=example.com"],
    ),
];

#[test]
fn messages_of_a_mail_reader() {
    let folder = "dkim/dkim_verifier/arh";
    let Some(names) = shared::names(folder) else { return };
    assert_eq!(names, MESSAGES.map(|(name, _)| name.to_owned()));
    for (name, expected) in MESSAGES {
        let message = shared::octets(&format!("{folder}/{name}")).unwrap();
        let fields = Fields::new(&message).filter(|field| field.name_is("Authentication-Results"));
        let fields = fields.inspect(|field| cut_everywhere(field.value));
        let mut read: Vec<_> = fields.map(|field| read(field.value)).collect();
        for line in &mut read {
            // Which octet it is does not matter here.
            if let (true, Some(at)) = (line.starts_with('!'), line.find(" at octet")) {
                line.truncate(at);
            }
        }
        assert_eq!(read, expected, "{name}");
        println!("pass    {name}");
    }
}

/// RFC 8601 Appendix B.7
#[test]
fn comments_in_every_place() {
    let field = " foo.example.net (foobar) 1 (baz);\r\n  dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n   \
                 policy (A dot can go here) . (like that) expired\r\n   (this surprised me) = (as I wasn't expecting it) \
                 1362471462";
    let results = parse(field).unwrap();
    assert_eq!(results.to_string(), "foo.example.net; dkim/1=fail policy.expired=1362471462");
    assert!(results.results[0].is_known_version());
    assert!(!parse("a; dkim/2=pass").unwrap().results[0].is_known_version());
}

#[test]
fn what_is_read_beyond_the_grammar() {
    for (written, read) in [
        ("a; spf=pass;", "a; spf=pass"),
        ("a; NONE ;", "a; none"),
        ("a; none=none", "a; none=none"),
        ("a; iprev=pass policy.iprev=2001:db8::1 (x)", "a; iprev=pass policy.iprev=\"2001:db8::1\""),
        ("a; dkim=pass header.b=a/b+c=", "a; dkim=pass header.b=\"a/b+c=\""),
        ("a; spf=none smtp.mailfrom=; x=y", "a; spf=none smtp.mailfrom=\"\"; x=y"),
        ("a; dmarc=none action=none header.from=b.example", "a; dmarc=none header.from=b.example"),
        ("a; spf=fail smtp.helo=b reason=c", "a; spf=fail reason=c smtp.helo=b"),
        ("a; SPF=Pass SMTP.MailFrom=Joe@Example.org", "a; spf=pass smtp.mailfrom=Joe@Example.org"),
        ("a; spf=pass smtp.mailfrom=\"joe\r\n doe\"@example.org", "a; spf=pass smtp.mailfrom=\"joe doe\"@example.org"),
        ("a; spf=pass (b \\(c) (d) smtp.x_y=z", "a; spf=pass (b \\(c) smtp.x_y=z"),
    ] {
        assert_eq!(parse(written).unwrap().to_string(), read, "{written}");
    }
}

#[test]
fn each_fault_at_its_octet() {
    let long = format!("a; x=y a.b={}", "c".repeat(491));
    let word = format!("a; {}=y", "c".repeat(65));
    let results = format!("a{}", "; spf=pass".repeat(101));
    let properties = format!("a; spf=pass{}", " a.b=c".repeat(33));
    for (value, fault, at) in [
        ("", AuthresFault::MissingId, 0),
        (" ; none", AuthresFault::MissingId, 1),
        ("a", AuthresFault::MissingResults, 1),
        ("a;", AuthresFault::MissingResults, 2),
        ("a 2; spf=pass", AuthresFault::UnknownVersion, 2),
        ("a 99999999999; spf=pass", AuthresFault::Number, 2),
        ("a b; spf=pass", AuthresFault::ExpectedSemicolon, 2),
        ("a; none; spf=pass", AuthresFault::ExpectedEquals, 7),
        ("a; spf", AuthresFault::ExpectedEquals, 6),
        ("a; =pass", AuthresFault::ExpectedKeyword, 3),
        ("a; spf=", AuthresFault::ExpectedKeyword, 7),
        (&word, AuthresFault::ExpectedKeyword, 3),
        ("a; spf/=pass", AuthresFault::ExpectedValue, 7),
        ("a; spf=pass,dkim=pass", AuthresFault::ExpectedSemicolon, 11),
        ("a; spf=pass smtp.helo", AuthresFault::ExpectedEquals, 21),
        ("a; spf=pass smtp.mailfrom= smtp.helo=b", AuthresFault::ExpectedValue, 27),
        // What hosts write that quote nothing, when the sender chose the name.
        ("a; dkim=pass header.d=legit.example(.attacker.example)", AuthresFault::TouchingComment, 35),
        ("a; dkim=pass header.d=legit.example(.attacker.example", AuthresFault::TouchingComment, 35),
        ("a; dkim=pass header.d=legit\".example", AuthresFault::UnexpectedOctet, 27),
        ("a; spf=pass (open", AuthresFault::OpenComment, 12),
        ("a; spf=pass (open\\", AuthresFault::OpenComment, 12),
        ("a; spf=pass a.b=\"open", AuthresFault::OpenQuote, 16),
        ("a; spf=pass a.b=\"\\", AuthresFault::OpenQuote, 16),
        (&long, AuthresFault::ValueTooLong, 11),
        ("a; spf=pass a.b=\"\u{1}\"", AuthresFault::Control, 16),
        (&results, AuthresFault::TooMany, 1003),
        (&properties, AuthresFault::TooMany, 208),
    ] {
        assert_eq!(parse(value), Err((fault, at)), "{value}");
    }
    let error = AuthenticationResults::parse(b"a; spf=pass a.b=\xff").unwrap_err();
    assert_eq!((error.fault, error.at), (AuthresFault::NotUtf8, 16));
    assert_eq!(error.to_string(), "a value that is no UTF-8 at octet 16");
}

/// A hundred thousand parentheses are as many octets, and no stack.
#[test]
fn nested_comments_are_counted() {
    let nested = format!("a {}{}; none", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(parse(&nested).unwrap().to_string(), "a; none");
    assert_eq!(parse(&nested[..100_000]), Err((AuthresFault::OpenComment, 2)));
}

fn keyword() -> impl Strategy<Value = Keyword> {
    prop_oneof![Just("none"), Just("reason"), Just("spf"), Just("a-b"), Just("_1")]
        .prop_map(|word| Keyword::new(word).unwrap())
}

/// Texts that mean something somewhere in the grammar, and any others.
fn value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just("; spf=pass".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r\n\r\nBcc: ".to_owned()),
        Just(" ".to_owned()),
        Just("\t".to_owned()),
        Just("=".to_owned()),
        Just("@".to_owned()),
        Just("example.org".to_owned()),
        Just("bücher.example".to_owned()),
        Just("\"joe doe\"@example.org".to_owned()),
        "[a-z]{1,30}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

prop_compose! {
    fn method_result()(
        method in keyword(),
        version in prop::option::of(any::<u32>()),
        result in keyword(),
        comment in prop::option::of(value()),
        reason in prop::option::of(value()),
        properties in prop::collection::vec((keyword(), keyword(), value()), 0..4),
    ) -> MethodResult {
        let mut built = MethodResult::new(method, result);
        built.version = version;
        if let Some(comment) = comment {
            built = built.comment(comment);
        }
        if let Some(reason) = reason {
            built = built.reason(reason);
        }
        properties.into_iter().fold(built, |built, (kind, name, value)| {
            built.with(Property::new(PropertyType::from(kind), name, value))
        })
    }
}

proptest! {
    /// What is written is one field, and reads back as it was, whatever the values hold.
    #[test]
    fn written_and_read(id in "[a-z (;\"]{1,20}", list in prop::collection::vec(method_result(), 0..4)) {
        let results = list.into_iter().fold(AuthenticationResults::new(id), AuthenticationResults::with);
        let field = results.to_field();
        let message = format!("{field}A: b\r\n\r\n");
        let fields: Vec<_> = Fields::new(message.as_bytes()).collect();
        prop_assert_eq!(fields.len(), 2);
        prop_assert!(field.split("\r\n").all(|line| line.len() <= 998), "{}", field);
        prop_assert_eq!(field.is_ascii(), results.is_ascii());
        prop_assert_eq!(AuthenticationResults::parse(fields[0].value), Ok(results.clone()));
        prop_assert_eq!(AuthenticationResults::parse(results.to_string().as_bytes()), Ok(results.clone()));
        // A message in transit may be unfolded.
        prop_assert_eq!(AuthenticationResults::parse(&fields[0].unfolded()), Ok(results.clone()));
        // What we wrote, we find.
        let trusted = Trusted::new([results.authserv_id.as_str()]);
        prop_assert!(trusted.forged(message.as_bytes()).eq(std::iter::once(0..field.len())));
    }

    /// Any octets give a result or an error, and what was read can be written.
    #[test]
    fn any_octets(value in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[a; =.()\"\\\\@/\r\n\t\u{e9}1spf-]{0,80}".prop_map(String::into_bytes),
    ]) {
        if let Ok(results) = AuthenticationResults::parse(&value) {
            prop_assert_eq!(AuthenticationResults::parse(results.to_string().as_bytes()), Ok(results));
        }
    }
}
