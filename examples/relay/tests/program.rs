//! The program says what is wrong with its arguments before it takes any mail.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

/// What it says on its way out.
fn refusal(more: &[&str]) -> String {
    refusal_with(more, None)
}

/// The same with a password.
fn refusal_with(more: &[&str], password: Option<&[u8]>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let mut relay = Command::new(env!("CARGO_BIN_EXE_relay"));
    relay.args(["127.0.0.1:0", spool.to_str().unwrap(), "127.0.0.1"]).args(more).env_remove("RELAY_PASSWORD");
    if let Some(password) = password {
        relay.env("RELAY_PASSWORD", OsStr::from_bytes(password));
    }
    let ended = relay.stdin(Stdio::null()).output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    String::from_utf8(ended.stderr).unwrap()
}

#[test]
fn certificates_that_cannot_be_read_are_no_empty_list() {
    let missing = refusal(&["--name", "relay.example", "--ca", "/no/such/file.pem"]);
    assert!(missing.contains("--ca /no/such/file.pem: "), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n").unwrap();
    let broken = refusal(&["--name", "relay.example", "--ca", broken.to_str().unwrap()]);
    assert!(broken.contains("broken.pem: "), "{broken}");
}

#[test]
fn a_login_needs_its_password() {
    let none = refusal(&["--name", "relay.example", "--auth", "joe"]);
    assert!(none.contains("RELAY_PASSWORD: "), "{none}");
    let latin = refusal_with(&["--name", "relay.example", "--auth", "joe"], Some(b"s3cret\xe9"));
    assert!(latin.contains("RELAY_PASSWORD: ") && !latin.contains("s3cret"), "{latin}");
}
