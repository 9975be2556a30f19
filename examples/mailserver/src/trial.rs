//! `try`: a server on loopback that needs no configuration, no root and no network.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use pillarbox::delivery::OverQuota;
use pillarbox::mailcore::Secret;
use pillarbox::maildir::QuotaRules;
use pillarbox::passwd;
use ring::rand::SecureRandom;

use crate::certificate;
use crate::config::{Address, Config, Dns, Limits, Listener, MailLocation, Mailboxes, Protocol, TlsFiles, TlsMode};
use crate::show::say;

/// The only account.
const USER: &str = "you@localhost";

/// What `try` made or found.
pub struct Trial {
    pub config: Config,
    dir: PathBuf,
    offset: u16,
    /// The password, if it is known: just made, or given on the command line.
    password: Option<String>,
}

/// Makes the data folder, or opens the one that an earlier try made.
pub fn prepare(dir: &Path, offset: u16, password: Option<String>) -> Result<Trial, String> {
    let told = |error: std::io::Error| format!("cannot make the data folder {}: {error}", dir.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join("tls")).map_err(told)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join("mail")).map_err(told)?;
    let dir = dir.canonicalize().map_err(told)?;
    let tls = TlsFiles { certificate: dir.join("tls/certificate.pem"), key: dir.join("tls/key.pem") };
    certificate::make_self_signed(&tls)?;

    let accounts = dir.join("passwd");
    let password = match password {
        None if accounts.exists() => None,
        given => {
            let password = given.unwrap_or_else(random_password);
            let hash = passwd::hash(&Secret::new(password.clone()))
                .map_err(|error| format!("cannot hash the password: {error}"))?;
            certificate::write_new(&accounts, format!("{USER}:{hash}\n").as_bytes(), 0o600)?;
            Some(password)
        }
    };

    let port = |well_known: u16| Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, well_known + offset)));
    let listener = |protocol, address, tls| Listener {
        protocol,
        address,
        tls,
        proxies: Vec::new(),
        xclient: Vec::new(),
        xforward: Vec::new(),
        relay_from: Vec::new(),
        // Whoever tries it wants to see it; there is nobody whose processor time or memory it takes.
        compress: protocol == Protocol::Imap,
    };
    let listeners = vec![
        listener(Protocol::Smtp, port(25), TlsMode::StartTls),
        listener(Protocol::Submission, port(587), TlsMode::StartTls),
        listener(Protocol::Submission, port(465), TlsMode::Implicit),
        listener(Protocol::Imap, port(143), TlsMode::StartTls),
        listener(Protocol::Imap, port(993), TlsMode::Implicit),
        listener(Protocol::Lmtp, Address::Unix(dir.join("lmtp")), TlsMode::None),
    ];
    let config = Config {
        hostname: "localhost".into(),
        domains: vec!["localhost".into()],
        postmaster: USER.into(),
        accounts,
        mail: MailLocation::parse(&dir, "mail/{domain}/{user}/Maildir")?,
        mailboxes: Mailboxes::default(),
        tls: Some(tls),
        listeners,
        // Whoever tries it comes from this one machine, and some make a connection for each message.
        quota: QuotaRules::default(),
        over_quota: OverQuota::default(),
        // Nobody's first try sends mail to strangers.
        sending: None,
        // Nor does it ask the network anything.
        authentication: None,
        signing: Vec::new(),
        dns: Dns::default(),
        limits: Limits { connections_per_minute: 1_000_000, ..Limits::default() },
    };
    Ok(Trial { config, dir, offset, password })
}

/// Sixteen letters and digits, which is 80 bits, without those that are taken for each other.
fn random_password() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0; 16];
    ring::rand::SystemRandom::new().fill(&mut random).expect("the system gives random octets");
    random.iter().map(|octet| char::from(ALPHABET[usize::from(octet % 32)])).collect()
}

impl Trial {
    /// Tells what is listened on and how to try it.
    pub fn greet(&self, listeners: &[Listener]) {
        let [smtp, submission, submissions, imap, imaps] = [25, 587, 465, 143, 993].map(|port: u16| port + self.offset);
        listeners.iter().for_each(say);
        let dir = self.dir.display();
        let (told, password) = match &self.password {
            Some(password) => (password.as_str(), in_quotes(password)),
            None => ("as before (--password PW sets another)", "PASSWORD".into()),
        };
        let maildir = in_quotes(&format!("{dir}/mail/localhost/you/Maildir"));
        let login = format!("--auth-user {USER} --auth-password {password} --from {USER} --to {USER}");
        say(format_args!(
            "\
data folder  {dir}
account      {USER}
password     {told}

Mail for others is refused: a try has no route to them, and `serve` sends it.

Send yourself a message:
  swaks --server 127.0.0.1:{smtp} --from me@example.org --to {USER}
  swaks --server 127.0.0.1:{submission} --tls {login}
  swaks --server 127.0.0.1:{submissions} --tls-on-connect {login}
Read it:
  curl --insecure --user {USER}:{password} 'imaps://127.0.0.1:{imaps}/INBOX;MAILINDEX=1'
  mutt -f {maildir}
Talk to it yourself:
  openssl s_client -quiet -crlf -starttls smtp -connect 127.0.0.1:{submission}
  openssl s_client -quiet -crlf -starttls imap -connect 127.0.0.1:{imap}
Stop with Ctrl-C.
"
        ));
    }
}

/// A text as one word of a shell's line.
fn in_quotes(text: &str) -> String {
    match text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./@+,".contains(&b)) && !text.is_empty() {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_one_word() {
        assert_eq!(in_quotes("plain-word_1"), "plain-word_1");
        assert_eq!(in_quotes("two words"), "'two words'");
        assert_eq!(in_quotes("it's $HOME"), r"'it'\''s $HOME'");
    }
}
