//! The program as its users run it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const MESSAGE: &str = "From: Joe <joe@example.org>\nTo: ann@example.net\nSubject: dinner\n\nIs it ready?\n\n\n";
const SESSION: [&str; 6] = ["--ip", "192.0.2.1", "--helo", "mail.example.org", "--mail-from", "joe@example.org"];
const ZONE: &str = "\
    $ORIGIN example.org.\n\
    @ TXT \"v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 exists:slow.%{d} -all exp=why.%{d}\"\n\
    why TXT \"%{i} is none of ours\"\n\
    _dmarc TXT \"v=DMARC1; p=reject\"\n\
    mail A 192.0.2.1\n\
    1.2.0.192.in-addr.arpa. PTR mail\n\
    ; TEMPFAIL slow\n";

fn run_with(folder: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_check-auth"));
    command.current_dir(folder).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn run(folder: &Path, args: &[&str]) -> String {
    let output = run_with(folder, args, b"");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Checks a file against the zone with the clock of the tests.
fn check(folder: &Path, session: &[&str], file: &str) -> Value {
    let args = [session, &["--zone", "zone.txt", "--now", "1700000100", "--json", file]].concat();
    serde_json::from_str(&run(folder, &args)).unwrap()
}

fn trouble(folder: &Path, args: &[&str], status: i32) -> String {
    let output = run_with(folder, args, b"");
    assert_eq!(output.status.code(), Some(status), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("message.eml"), MESSAGE).unwrap();
    std::fs::write(folder.path().join("zone.txt"), ZONE).unwrap();
    folder
}

/// Makes a key in a file of its own, and puts its record into the zone.
fn make_key(folder: &Path, kind: &str, domain: &str, selector: &str, out: &str) {
    let record = run(folder, &["keygen", kind, "--domain", domain, "--selector", selector, "--out", out]);
    let zone = std::fs::read_to_string(folder.join("zone.txt")).unwrap();
    std::fs::write(folder.join("zone.txt"), zone + &record).unwrap();
}

#[test]
fn a_message_without_signatures() {
    let folder = folder();
    let verdicts = check(folder.path(), &SESSION, "message.eml");
    assert_eq!(verdicts["spf"]["result"], "pass");
    assert_eq!(verdicts["spf"]["mechanism"], "ip4:192.0.2.1");
    assert_eq!(verdicts["spf_helo"]["result"], "none");
    assert_eq!(verdicts["iprev"]["name"], "mail.example.org");
    assert_eq!(verdicts["dmarc"]["result"], "pass");
    assert_eq!(verdicts["arc"]["result"], "none");
    assert_eq!(verdicts["dkim"].as_array().unwrap().len(), 0);
    assert_eq!(verdicts["reply"], Value::Null);
    assert_eq!(
        verdicts["authentication_results"],
        "localhost; iprev=pass (mail.example.org) policy.iprev=192.0.2.1; spf=pass smtp.mailfrom=example.org; \
         spf=none reason=\"mail.example.org has no SPF record\" smtp.helo=mail.example.org; dkim=none; arc=none; \
         dmarc=pass header.from=example.org policy.dmarc=reject"
    );
    let steps = verdicts["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step == "  ip4:192.0.2.1 matches: pass"), "{steps:#?}");

    // From elsewhere the message waits, as the DNS does not say all; and the null path asks for the name in HELO.
    let verdicts = check(folder.path(), &["--ip", "192.0.2.3", "--mail-from", "<a@example.org>"], "message.eml");
    assert_eq!(verdicts["spf"]["result"], "temperror");
    assert_eq!(verdicts["reply"], "451 4.7.1 DMARC cannot be checked for now, try again later");
    for null in ["", "<>"] {
        let session = ["--ip", "2001:db8::1", "--helo", "other.example", "--mail-from", null];
        let verdicts = check(folder.path(), &session, "message.eml");
        assert_eq!(verdicts["spf"]["domain"], "other.example");
        assert_eq!(verdicts["dmarc"]["disposition"], "reject");
        assert_eq!(verdicts["reply"], "550 5.7.1 refused by the DMARC policy of example.org");
    }
}

#[test]
fn what_it_signs_it_verifies() {
    let folder = folder();
    let folder = folder.path();
    make_key(folder, "rsa", "example.org", "r1", "rsa.pem");
    make_key(folder, "ed25519", "example.org", "e1", "ed.pem");
    for (header, body) in [("simple", "simple"), ("simple", "relaxed"), ("relaxed", "simple"), ("relaxed", "relaxed")] {
        let args = ["sign", "--domain", "example.org", "--selector", "r1", "--key", "rsa.pem", "--selector", "e1"];
        let args = [&args[..], &["--key", "ed.pem", "--now", "2023-11-14T22:13:20Z", "--lifetime", "3600"]].concat();
        let args = [&args[..], &["--header-form", header, "--body-form", body, "-"]].concat();
        let signed = run_with(folder, &args, MESSAGE.as_bytes());
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
        let text = String::from_utf8(signed.stdout).unwrap();
        assert!(text.ends_with(&MESSAGE.replace('\n', "\r\n")));
        assert!(text.contains(&format!("c={header}/{body};")) && text.contains("x=1700003600;"), "{text}");
        std::fs::write(folder.join("signed.eml"), text).unwrap();
        let verdicts = check(folder, &["--ip", "192.0.2.3"], "signed.eml");
        let dkim = verdicts["dkim"].as_array().unwrap();
        assert_eq!(dkim.len(), 2);
        for (signature, selector) in dkim.iter().zip(["r1", "e1"]) {
            assert_eq!(signature["result"], "pass", "{verdicts:#}");
            assert_eq!((&signature["domain"], &signature["selector"]), (&"example.org".into(), &selector.into()));
        }
        assert_eq!(verdicts["dmarc"]["result"], "pass");
        assert_eq!(verdicts["spf"], Value::Null);
    }
    assert_eq!(trouble(folder, &["keygen", "--out", "ed.pem"], 1), "check-auth: ed.pem: File exists (os error 17)\n");
    let pair = run(folder, &["keygen", "ed25519"]);
    assert!(pair.starts_with("-----BEGIN PRIVATE KEY-----\n") && pair.contains("\nv=DKIM1; k=ed25519; p="), "{pair}");
}

/// A key that everybody on the machine may use proves nothing, so that nothing is signed with it.
#[cfg(unix)]
#[test]
fn keys_that_everybody_may_read_or_that_are_none_sign_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let folder = folder.path();
    make_key(folder, "ed25519", "example.org", "s", "s.pem");
    let sign = ["sign", "--domain", "example.org", "--selector", "s", "--key", "s.pem", "message.eml"];
    let set_mode = |mode| {
        std::fs::set_permissions(folder.join("s.pem"), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o604, 0o602, 0o666] {
        set_mode(mode);
        let output = run_with(folder, &sign, b"");
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]));
        let expected =
            format!("check-auth: s.pem: everybody may use the key (mode {mode:04o}); mend it with: chmod o= s.pem\n");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
    for mode in [0o600, 0o640] {
        set_mode(mode);
        assert!(run(folder, &sign).starts_with("DKIM-Signature: "));
    }
    std::fs::write(folder.join("s.pem"), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").unwrap();
    assert_eq!(trouble(folder, &sign, 1), "check-auth: s.pem: not an RSA or Ed25519 private key\n");
    std::fs::remove_file(folder.join("s.pem")).unwrap();
    assert!(trouble(folder, &sign, 1).starts_with("check-auth: s.pem: No such file"));
}

#[test]
fn a_forwarder_seals_and_is_believed_if_it_is_trusted() {
    let folder = folder();
    let folder = folder.path();
    make_key(folder, "ed25519", "lists.example", "s", "lists.pem");
    let sealing = ["seal", "--domain", "lists.example", "--selector", "s", "--key", "lists.pem"];
    let args = [&sealing[..], &SESSION, &["--zone", "zone.txt", "--now", "1700000000", "message.eml"]].concat();
    let sealed = run(folder, &args);
    assert!(sealed.starts_with("ARC-Seal: i=1; a=ed25519-sha256; t=1700000000; cv=none;"), "{sealed}");
    std::fs::write(folder.join("sealed.eml"), &sealed).unwrap();
    std::fs::write(folder.join("changed.eml"), sealed.replace("dinner", "lunch")).unwrap();

    let on = ["--ip", "198.51.100.1", "--helo", "mail.lists.example", "--mail-from", "b@lists.example"];
    let stranger = check(folder, &on, "sealed.eml");
    assert_eq!(stranger["arc"]["result"], "pass", "{stranger:#}");
    assert_eq!(stranger["arc"]["sets"][0]["sealer"], "lists.example");
    assert_eq!(stranger["dmarc"]["disposition"], "reject");
    let trusting = [&on[..], &["--trust-sealer", "Lists.Example"]].concat();
    let trusted = check(folder, &trusting, "sealed.eml");
    assert_eq!((&trusted["dmarc"]["result"], &trusted["disposition"]), (&"fail".into(), &"none".into()));
    assert_eq!(trusted["forwarder"], "lists.example");
    let changed = check(folder, &trusting, "changed.eml");
    assert_eq!((&changed["arc"]["result"], &changed["disposition"]), (&"fail".into(), &"reject".into()));

    // The next one adds to the chain.
    make_key(folder, "rsa", "next.example", "n", "next.pem");
    let sealing = ["seal", "--domain", "next.example", "--selector", "n", "--key", "next.pem"];
    let args = [&sealing[..], &trusting, &["--zone", "zone.txt", "--now", "1700000050", "sealed.eml"]].concat();
    std::fs::write(folder.join("next.eml"), run(folder, &args)).unwrap();
    let next = check(folder, &trusting, "next.eml");
    assert_eq!((&next["arc"]["result"], &next["disposition"]), (&"pass".into(), &"reject".into()), "{next:#}");
    let both = check(folder, &[&trusting[..], &["--trust-sealer", "next.example"]].concat(), "next.eml");
    assert_eq!((&both["forwarder"], &both["disposition"]), (&"lists.example".into(), &"none".into()), "{both:#}");
}

#[test]
fn texts_for_people() {
    let folder = folder();
    let args = [&SESSION[..], &["--zone", "zone.txt", "--now", "0", "--received-spf", "-"]].concat();
    let output = run_with(folder.path(), &args, MESSAGE.as_bytes());
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "iprev 192.0.2.1: pass",
        "  mail.example.org leads back",
        "spf mailfrom example.org: pass",
        "dkim: none",
        "dmarc example.org: pass",
        "disposition: none",
        "Authentication-Results: localhost;",
        "Received-SPF: pass (localhost: example.org lets 192.0.2.1 send for it)",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn what_is_wrong_is_told() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("bad.txt"), "a. A 192.0.2.1\nb. A 192.0.2.256\n").unwrap();
    let status = |args: &[&str]| run_with(folder, &[args, &["--zone", "zone.txt", "message.eml"]].concat(), b"").status;
    assert_eq!(
        trouble(folder, &["--zone", "bad.txt", "message.eml"], 1),
        "check-auth: bad.txt: line 2, column 6: no IPv4 address\n"
    );
    assert!(trouble(folder, &["--zone", "zone.txt", "nowhere.eml"], 1).starts_with("check-auth: nowhere.eml: "));
    for (option, value) in
        [("--ip", "192.0.2"), ("--mail-from", "(a@b.example"), ("--mail-from", "<a@b> x"), ("--now", "noon")]
    {
        assert!(trouble(folder, &[option, value, "message.eml"], 2).contains(option));
    }
    assert_eq!(status(&["--ip", "192.0.2.9", "--mail-from", "<>"]).code(), Some(0));
    assert_eq!(status(&["--ip", "192.0.2.9", "--mail-from", "<>", "--strict"]).code(), Some(3));
    assert_eq!(status(&["--ip", "192.0.2.1", "--mail-from", "a@example.org", "--strict"]).code(), Some(0));
    let args = ["sign", "--domain", "a.example", "--selector", "a", "--selector", "b", "--key", "k", "message.eml"];
    assert_eq!(trouble(folder, &args, 1), "check-auth: 2 selectors for 1 keys\n");
}
