//! `mailserver check`: what is wrong is found, all of it, with its place; and `serve` refuses the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::process::run;
use crate::serve::{Site, write_certificate, write_secret};

/// Puts what the files of `bad-configs` name into a folder: what is good and what is not.
fn furnish(dir: &Path) {
    fs::create_dir(dir.join("mail")).unwrap();
    fs::write(dir.join("a-file"), "").unwrap();
    fs::create_dir(dir.join("loose-queue")).unwrap();
    fs::set_permissions(dir.join("loose-queue"), fs::Permissions::from_mode(0o755)).unwrap();
    write_certificate(&dir.join("cert.pem"), &dir.join("key.pem"));
    write_certificate(&dir.join("other-cert.pem"), &dir.join("other-key.pem"));
    fs::copy(dir.join("key.pem"), dir.join("loose-key.pem")).unwrap();
    for (name, accounts) in [
        ("passwd", "you@example.org:{PLAIN}x\n"),
        ("loose-passwd", "you@example.org:{PLAIN}x\n"),
        ("unknown-scheme", "# ours\nyou@example.org:{PLAIN}x\njoe@example.org:{ROT13}k\n"),
        (
            "misplaced",
            "you@example.org:{PLAIN}x\njoe:{PLAIN}x\njoe@example.com:{PLAIN}x\na/b@example.org:{PLAIN}x\nyou-x@example.org:{PLAIN}x\nYou@x-example.org:{PLAIN}x\nbox-you@example.org:{PLAIN}x\n",
        ),
        ("bad-quota", "you@example.org:{PLAIN}x\njoe@example.org:{PLAIN}x::::::userdb_quota_rule=*:1G\n"),
        ("no-postmaster", "joe@example.org:{PLAIN}x\n"),
    ] {
        write_secret(&dir.join(name), accounts);
    }
    for loose in ["loose-key.pem", "loose-passwd"] {
        fs::set_permissions(dir.join(loose), fs::Permissions::from_mode(0o644)).unwrap();
    }
}

/// Every file `x.toml` in `tests/bad-configs` is refused with what `x.expected` says; `DIR` stands for its folder.
#[test]
fn every_bad_configuration_is_refused_as_expected() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-configs");
    let mut count = 0;
    for file in fs::read_dir(&configs).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let tmp = tempfile::tempdir().unwrap();
        furnish(tmp.path());
        let config = tmp.path().join(file.file_name().unwrap());
        fs::copy(&file, &config).unwrap();
        let config = config.to_str().unwrap();
        let (stdout, stderr, code) = run(&["check", "--config", config]);
        assert_eq!((stdout.as_str(), code), ("", 1), "{config}: {stderr}");
        let told = stderr.replace(tmp.path().to_str().unwrap(), "DIR");
        let expected = file.with_extension("expected");
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(told, wanted, "{} tells otherwise", expected.display());
        assert_eq!(run(&["serve", "--config", config]), (String::new(), stderr, 1), "serve refuses the same");
        count += 1;
    }
    assert!(count >= 30, "{count} files");
}

#[test]
fn a_good_configuration_is_fine() {
    let site = Site::new("");
    let before = fs::read_dir(site.path("")).unwrap().count();
    let config = site.config();
    let (stdout, stderr, code) = run(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!((stdout, stderr.as_str(), code), (format!("{}: fine\n", config.display()), "", 0));
    assert_eq!(fs::read_dir(site.path("")).unwrap().count(), before, "it makes nothing");
}

/// The README's file, with its paths led into a folder of ours.
#[test]
fn the_configuration_of_the_readme_is_fine() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let text = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let tmp = tempfile::tempdir().unwrap();
    furnish(tmp.path());
    let dir = tmp.path().to_str().unwrap();
    let mut text = text.to_owned();
    for (path, ours) in [
        ("/etc/letsencrypt/live/mail.example.org/fullchain.pem", "cert.pem"),
        ("/etc/letsencrypt/live/mail.example.org/privkey.pem", "key.pem"),
        ("/etc/mailserver/passwd", "passwd"),
        ("/var/mail/", "mail/"),
        ("/var/spool/mailserver/", ""),
        ("/run/mailserver/", ""),
    ] {
        assert!(text.contains(path), "{path}");
        text = text.replace(path, &format!("{dir}/{ours}"));
    }
    let config = tmp.path().join("mail.toml");
    fs::write(&config, text).unwrap();
    let (_, stderr, code) = run(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!((stderr.as_str(), code), ("", 0));
}

/// The tables for sending, behind a file that is good without them.
#[test]
fn what_the_readme_says_of_sending_is_fine() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let text = readme.split("```toml\n").find(|text| text.starts_with("[queue]")).unwrap();
    let text =
        text.split("```").next().unwrap().replace("password_env = \"RELAY_PASSWORD\"", "password_env = \"PATH\"");
    let site = Site::new("");
    write_secret(&site.path("password"), "s3cret\n");
    let folder = site.path("");
    let ours = text
        .replace("/var/spool/mailserver/", &format!("{}/", folder.display()))
        .replace("/etc/mailserver/smtp.example.net", &site.path("password").display().to_string())
        .replace("/etc/mailserver/ca.pem", &site.path("cert.pem").display().to_string());
    let config =
        fs::read_to_string(site.config()).unwrap().replace("\"example.org\", \"example.net\"", "\"example.org\"");
    fs::write(site.config(), format!("{config}\n{ours}")).unwrap();
    write_secret(&site.path("passwd"), "ops@example.org:{PLAIN}x\n");
    let (_, stderr, code) = run(&["check", "--config", site.config().to_str().unwrap()]);
    assert_eq!((stderr.as_str(), code), ("", 0));
}

/// The tables about who is checked and what is signed, and those of what is sent on.
#[test]
fn what_the_readme_says_of_authentication_is_fine() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let table = |begin: &str| {
        let text = readme.split("```toml\n").find(|text| text.starts_with(begin)).unwrap();
        text.split("```").next().unwrap().to_owned()
    };
    let site = Site::new("");
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    write_secret(&site.path("key.ed25519"), pem);
    write_secret(&site.path("srs"), "a secret of some length\n");
    fs::write(site.path("aliases"), "info: joe\n").unwrap();
    let ours = [table("[authentication]"), table("[[sign]]"), table("[forward]")]
        .concat()
        .replace("/etc/mailserver/2026a.pem", "key.ed25519")
        .replace("/etc/mailserver/srs", "srs")
        .replace("/etc/aliases", "aliases");
    let config = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), format!("{config}\n[queue]\nfolder = \"queue\"\n\n{ours}")).unwrap();
    let (_, stderr, code) = run(&["check", "--config", site.config().to_str().unwrap()]);
    assert_eq!((stderr.as_str(), code), ("", 0));
}

#[test]
fn a_file_that_is_not_there() {
    let (_, stderr, code) = run(&["check", "--config", "/nowhere/mail.toml"]);
    assert!(stderr.starts_with("cannot read the configuration file /nowhere/mail.toml: No such file"), "{stderr}");
    assert_eq!(code, 1);
}
