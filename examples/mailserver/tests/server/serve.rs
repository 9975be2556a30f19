//! `mailserver serve`: two domains, three accounts, and whom they are delivered to.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::client::{Client, base64, connect};
use crate::process::{Server, eventually};

// Made by `doveadm pw -p pässword`.
const SHA512: &str = "{SHA512-CRYPT}$6$Cn097a4jqd.deohK$NG738.kHTjebVUBIfM44zMBgtJNQWYh//ga9SjiZjAH.p9rrclYzKVOEl7bth3bJTzuCs7YBrSSx.RVTH2S/m1";
const BCRYPT: &str = "{BLF-CRYPT}$2y$05$ftp6FcQt0atznpPlwASe5e/7oXe722HOxsfYS9A0AxsjkOR/LK3xq";

const ACCOUNTS: [(&str, &str); 4] = [
    ("joe@example.org", SHA512),
    // As people write their names; the mail is in `jane` all the same.
    ("Jane@Example.net", BCRYPT),
    ("ops@example.org", "{PLAIN}pässword"),
    ("%{x}@example.org", "{PLAIN}pässword"),
];

const CONFIG: &str = r#"
hostname = "mail.example.org"
domains = ["example.org", "example.net"]
postmaster = "ops@example.org"
accounts = "passwd"
mail = "mail/{domain}/{user}/Maildir"
tls = { certificate = "cert.pem", key = "key.pem" }

[[listener]]
protocol = "smtp"
address = "127.0.0.1:0"
tls = "starttls"

[[listener]]
protocol = "submission"
address = "127.0.0.1:0"
tls = "starttls"

[[listener]]
protocol = "submission"
address = "127.0.0.1:0"
tls = "implicit"

[[listener]]
protocol = "imap"
address = "127.0.0.1:0"
tls = "implicit"

[[listener]]
protocol = "lmtp"
address = "unix:lmtp"
"#;

/// A folder with all that a server needs.
pub struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    /// The configuration gets `more` at its end.
    pub fn new(more: &str) -> Self {
        let site = Site { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(site.path("mail")).unwrap();
        write_certificate(&site.path("cert.pem"), &site.path("key.pem"));
        let accounts: String = ACCOUNTS.iter().map(|(user, hash)| format!("{user}:{hash}\n")).collect();
        write_secret(&site.path("passwd"), &accounts);
        fs::write(site.config(), format!("{CONFIG}{more}")).unwrap();
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("mail.toml")
    }

    /// How many listeners the configuration has.
    pub fn listeners(&self) -> usize {
        CONFIG.matches("[[listener]]").count()
    }

    /// The messages of an account, as they are on disk.
    pub fn mail(&self, account: &str) -> Vec<String> {
        let (user, domain) = account.split_once('@').unwrap();
        let Ok(folder) = fs::read_dir(self.path(&format!("mail/{domain}/{user}/Maildir/new"))) else {
            return Vec::new();
        };
        folder.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }
}

pub fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Writes a fresh self-signed certificate and its key.
pub fn write_certificate(certificate: &Path, key: &Path) {
    let made = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
    fs::write(certificate, made.cert.pem()).unwrap();
    write_secret(key, &made.signing_key.serialize_pem());
}

pub fn plain(user: &str, password: &str) -> String {
    base64(&format!("\0{user}\0{password}"))
}

#[test]
fn accounts_of_two_domains_get_their_mail() {
    let site = Site::new("");
    let server = Server::serve(&site.config(), site.listeners());
    let mut smtp = Client::to(&server.address("smtp, STARTTLS"));
    let hello = smtp.hello();
    assert!(hello.starts_with("250-mail.example.org") && !hello.contains("AUTH"), "{hello}");
    let mut send = |to: &str| assert!(smtp.message("me@elsewhere.example", to, to).starts_with("250 "), "{to}");
    send("joe@example.org");
    send("JANE@example.NET");
    send("\"joe\"@example.org");
    // RFC 5321 §4.5.1
    send("postmaster@example.org");
    send("Postmaster@example.net");
    send("postmaster");
    smtp.expect("MAIL FROM:<>", "250 ");
    for stranger in ["nobody@example.org", "joe@example.net", "jane@example.org", "joe+tag@example.org"] {
        smtp.expect(&format!("RCPT TO:<{stranger}>"), "550 5.1.1 ");
    }
    assert_eq!(site.mail("joe@example.org").len(), 2);
    assert_eq!(site.mail("jane@example.net").len(), 1);
    assert_eq!(site.mail("ops@example.org").len(), 3);

    for (user, _) in ACCOUNTS {
        let mut imap = Client::over_tls(&server.address("imap, TLS"));
        imap.line();
        imap.send(&format!("a AUTHENTICATE PLAIN {}", plain(user, "pässword")));
        assert!(imap.line().starts_with("a OK"), "{user}");
        let count = site.mail(&user.to_ascii_lowercase()).len();
        assert!(imap.command("b", "SELECT INBOX").contains(&format!("* {count} EXISTS")), "{user}");
    }
    let mut folders: Vec<_> = fs::read_dir(site.path("mail/example.net")).unwrap().collect();
    assert_eq!(folders.pop().unwrap().unwrap().file_name(), "jane", "one folder, however the name is written");
    assert!(folders.is_empty());
    server.stop();
}

/// ATH-05, ATH-07: no is no, whoever asks.
#[test]
fn wrong_logins_are_refused_alike() {
    // So that the test does not wait for what it does not ask about.
    let site = Site::new("[limits]\ntrusted = [\"127.0.0.0/8\"]\n");
    let server = Server::serve(&site.config(), site.listeners());
    let answer = |user: &str| {
        let mut client = Client::over_tls(&server.address("submission, TLS"));
        client.hello();
        client.ask(&format!("AUTH PLAIN {}", plain(user, "wrong")))
    };
    let no = answer("joe@example.org");
    assert!(no.starts_with("535 5.7.8 "), "{no}");
    assert_eq!(answer("nobody@example.org"), no);
    assert_eq!(answer("../joe@example.org"), no);
    let mut client = Client::over_tls(&server.address("submission, TLS"));
    client.hello();
    // RFC 4954 §6
    client.expect("MAIL FROM:<joe@example.org>", "530 5.7.0 ");
    client.expect(&format!("AUTH PLAIN {}", base64("jane@example.net\0joe@example.org\0pässword")), "535 5.7.8 ");
    client.expect(&format!("AUTH PLAIN {}", plain("joe@example.org", "pässword")), "235 ");
    client.expect("MAIL FROM:<jane@example.net>", "553 5.7.1 ");
    client.expect("MAIL FROM:<joe@sales>", "554 5.1.8 ");
    client.expect("MAIL FROM:<Joe@example.ORG>", "250 ");
    client.expect("RCPT TO:<jane@example.net>", "250 ");
    client.expect("RCPT TO:<you@elsewhere.example>", "550 5.7.1 ");
}

#[test]
fn what_tells_too_much_or_too_little_is_no_way_to_log_in() {
    let site = Site::new("");
    let server = Server::serve(&site.config(), site.listeners());
    let mut client = Client::over_tls(&server.address("submission, TLS"));
    let offers = client.hello();
    let offered = offers.lines().find_map(|line| line[4..].strip_prefix("AUTH ")).expect("users log in here");
    let expected = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"];
    assert!(offered.split(' ').all(|mechanism| expected.contains(&mechanism)), "{offered}");
    for mechanism in ["NTLM", "CRAM-MD5", "DIGEST-MD5", "ANONYMOUS", "GSSAPI", "SPA"] {
        client.expect(&format!("AUTH {mechanism}"), "504 5.5.4 ");
    }
    // Without TLS nobody is asked for a password, and where mail comes from strangers nobody at all.
    for listener in ["submission, STARTTLS", "smtp, STARTTLS"] {
        let offers = Client::to(&server.address(listener)).hello();
        assert!(!offers.contains("AUTH"), "{listener}: {offers}");
    }
}

#[test]
fn who_talks_before_the_greeting_is_shown() {
    let site = Site::new("");
    let starttls = "tls = \"starttls\"";
    let config = CONFIG.replacen(starttls, &format!("{starttls}\nproxies = [\"127.0.0.1\"]"), 1);
    fs::write(site.config(), config).unwrap();
    let server = Server::serve(&site.config(), site.listeners());
    let mut socket = connect(&server.address("smtp, STARTTLS"));
    // What stands behind the header of the proxy was there before the greeting, however fast we are.
    socket.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\nEHLO \x1b[2J\r\nQUIT\r\n").unwrap();
    Client::new(socket).rest();
    let output = server.stop();
    assert!(output.contains(r"PREGREET 17 from [192.0.2.7]: EHLO \u{1b}[2J\r\nQUIT\r\n"), "{output}");
}

/// ACL-04
#[test]
fn strangers_cannot_relay() {
    let site = Site::new("");
    let server = Server::serve(&site.config(), site.listeners());
    let forms = [
        "<you@elsewhere.example>",
        "you@elsewhere.example",
        "<you%elsewhere.example@example.org>",
        "<you%elsewhere.example@mail.example.org>",
        "<\"you@elsewhere.example\">",
        "<\"you@elsewhere.example\"@example.org>",
        "<\"you%elsewhere.example\"@example.org>",
        "<you@elsewhere.example@example.org>",
        "<you@elsewhere.example@[127.0.0.1]>",
        "<@example.org:you@elsewhere.example>",
        "<@mail.example.org:you@elsewhere.example>",
        "<@[127.0.0.1]:you@elsewhere.example>",
        "<@example.org,@example.net:you@elsewhere.example>",
        "<elsewhere.example!you>",
        "<elsewhere.example!you@example.org>",
        "<elsewhere.example!you@[127.0.0.1]>",
        "<example.org!you@elsewhere.example>",
        "<you@[127.0.0.1]>",
        "<joe@[127.0.0.1]>",
        "<joe@[IPv6:::1]>",
        "<joe@localhost>",
        "<joe@mail.example.org>",
        "<joe@sub.example.org>",
        "<joe@notexample.org>",
        "<joe@example.org.elsewhere.example>",
        "<joe@example.org.>",
        "<joe@.example.org>",
        "<joe@>",
        "<@example.org>",
        "<joe>",
        "<\"joe@example.org\">",
        "<jo\u{e9}@elsewhere.example>",
        "<you@\u{e9}lsewhere.example>",
        "<you@elsewhere.example:25>",
        "<>",
        "<you@elsewhere.example>, <joe@example.org>",
        "<relay:you@elsewhere.example>",
        "<you@example.org(@elsewhere.example)>",
    ];
    for envelope_from in ["<spam@elsewhere.example>", "<>", "<joe@example.org>", "<postmaster@[127.0.0.1]>"] {
        for chunk in forms.chunks(8) {
            // Anew each time: so many mistakes would end one session.
            let mut smtp = Client::to(&server.address("smtp, STARTTLS"));
            smtp.hello();
            smtp.expect(&format!("MAIL FROM:{envelope_from}"), "250 ");
            for form in chunk {
                let reply = smtp.ask(&format!("RCPT TO:{form}"));
                assert!(reply.starts_with('5'), "{form} from {envelope_from}: {reply}");
            }
            smtp.expect("DATA", "5");
        }
    }
    let mail: Vec<_> = fs::read_dir(site.path("mail")).unwrap().collect();
    assert!(mail.is_empty(), "{mail:?}");
}

/// RFC 2033 §4.2, and MBX-08 with accounts that came while the server runs.
#[test]
fn lmtp_answers_for_each_recipient_and_names_do_not_become_paths() {
    let site = Site::new("");
    let server = Server::serve(&site.config(), site.listeners());
    let names = ["..", "../../etc/x", ".hidden", "a/b", "a\\b", &"a".repeat(300)];
    let mut accounts = fs::read_to_string(site.path("passwd")).unwrap();
    for name in names {
        accounts.push_str(&format!("{name}@example.org:{{PLAIN}}x\n"));
    }
    accounts.push_str("x@..:{PLAIN}x\nnodomain:{PLAIN}x\nx@elsewhere.example:{PLAIN}x\n");
    write_secret(&site.path("passwd"), &accounts);

    let mut lmtp = Client::to(&server.address("lmtp"));
    lmtp.reply();
    lmtp.expect("EHLO c", "5");
    lmtp.expect("LHLO c", "250");
    lmtp.expect("MAIL FROM:<>", "250 ");
    lmtp.expect("RCPT TO:<joe@example.org>", "250 ");
    for name in names {
        let quoted = name.replace('\\', "\\\\");
        lmtp.expect(&format!("RCPT TO:<\"{quoted}\"@example.org>"), "5");
    }
    lmtp.expect("RCPT TO:<jane@example.net>", "250 ");
    lmtp.expect("DATA", "354 ");
    lmtp.expect("Subject: x\r\n\r\nhello\r\n.", "250 ");
    assert!(lmtp.reply().starts_with("250 "), "one for each");
    lmtp.expect("QUIT", "221 ");
    assert_eq!((site.mail("joe@example.org").len(), site.mail("jane@example.net").len()), (1, 1));

    for name in ["..@example.org", "a/b@example.org", "x@..", "nodomain", "x@elsewhere.example"] {
        let mut imap = Client::over_tls(&server.address("imap, TLS"));
        imap.line();
        imap.send(&format!("a AUTHENTICATE PLAIN {}", plain(name, "x")));
        assert!(imap.line().starts_with("a NO"), "{name}");
    }
    assert!(!site.path("x").exists() && !site.path("mail/Maildir").exists());
}

#[test]
fn accounts_change_while_the_server_runs() {
    let site = Site::new("");
    let mut server = Server::serve(&site.config(), site.listeners());
    let log_in = |password: &str| {
        let mut client = Client::over_tls(&server.address("submission, TLS"));
        client.hello();
        client.ask(&format!("AUTH PLAIN {}", plain("ops@example.org", password)))[..3].to_owned()
    };
    assert_eq!(log_in("pässword"), "235");
    write_secret(&site.path("passwd"), "ops@example.org:{PLAIN}another-one\n");
    assert_eq!(log_in("another-one"), "235");
    assert_eq!(log_in("pässword"), "535");
    // A slip while editing locks nobody out, and is told once.
    write_secret(&site.path("passwd"), "ops@example.org:{ROT13}nabgure-bar\n");
    assert_eq!(log_in("another-one"), "235");
    assert_eq!(log_in("another-one"), "235");
    fs::remove_file(site.path("passwd")).unwrap();
    assert_eq!(log_in("another-one"), "235");
    server.signal("HUP");
    assert!(server.prints("what was read before is used on"));
    let output = server.stop();
    assert_eq!(output.matches("TROUBLE with the accounts").count(), 2, "{output}");
    assert_eq!(output.matches("line 1, column 17: there is no password scheme ROT13").count(), 1, "{output}");
    assert!(!output.contains("nabgure-bar") && !output.contains("another-one"), "{output}");
}

/// An account that is added later and would read another one's mail gets none, and the other one keeps its own.
#[test]
fn an_account_that_would_share_a_folder_is_refused() {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap();
    let text = text.replace("{domain}/{user}/Maildir", "{user}-{domain}").replace("example.net", "x-example.org");
    fs::write(site.config(), text).unwrap();
    let accounts = "ops@example.org:{PLAIN}x\njoe@x-example.org:{PLAIN}x\n";
    write_secret(&site.path("passwd"), accounts);
    let mut server = Server::serve(&site.config(), site.listeners());
    let mut smtp = Client::to(&server.address("smtp, STARTTLS"));
    smtp.hello();
    assert!(smtp.message("me@elsewhere.example", "joe@x-example.org", "first").starts_with("250 "));
    // In front of the other, so that it is not the order in the file that counts.
    write_secret(&site.path("passwd"), &format!("joe-x@example.org:{{PLAIN}}x\n{accounts}"));
    smtp.expect("MAIL FROM:<me@elsewhere.example>", "250 ");
    smtp.expect("RCPT TO:<joe-x@example.org>", "451 4.3.0 ");
    smtp.expect("RCPT TO:<joe@x-example.org>", "250 ");
    let log_in = |user: &str| {
        let mut imap = Client::over_tls(&server.address("imap, TLS"));
        imap.line();
        imap.send(&format!("a AUTHENTICATE PLAIN {}", plain(user, "x")));
        imap.line()[..4].to_owned()
    };
    assert_eq!((log_in("Joe-x@example.org"), log_in("joe@x-example.org")), ("a NO".into(), "a OK".into()));
    // Mended, it is an account like others.
    write_secret(&site.path("passwd"), &format!("joe-y@example.org:{{PLAIN}}x\n{accounts}"));
    assert_eq!(log_in("joe-y@example.org"), "a OK");
    assert!(server.prints("joe-x@example.org: its mail would be"));
    let output = server.stop();
    let told = "TROUBLE with the account joe-x@example.org: its mail would be in the same folder as that of joe@x-example.org: it is refused";
    assert_eq!(output.matches(told).count(), 1, "{output}");
}

/// LIM-05
#[test]
fn one_address_cannot_take_all_seats() {
    let site = Site::new("[limits]\nconnections_per_address = 2\nmessage_size = 2000\nrecipients = 100\n");
    let server = Server::serve(&site.config(), site.listeners());
    let smtp = server.address("smtp, STARTTLS");
    let mut first = Client::to(&smtp);
    assert!(first.hello().contains("SIZE 2000"));
    let mut second = Client::to(&smtp);
    second.hello();
    let mut third = Client::to(&smtp);
    assert!(third.rest().starts_with("421 4.7.0 "));
    // Each listener counts for itself, and those who are in are served.
    let mut imap = Client::over_tls(&server.address("imap, TLS"));
    assert!(imap.line().starts_with("* OK"));
    first.expect("MAIL FROM:<a@b.example> SIZE=2001", "552 5.3.4 ");
    first.expect("QUIT", "221 ");
    eventually("a free seat", || Client::to(&smtp).reply().starts_with("220 "));
}
