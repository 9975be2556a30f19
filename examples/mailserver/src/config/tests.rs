use pillarbox::maildir::Quota;

use super::*;

const GOOD: &str = r#"
hostname = "mail.example.org"
domains = ["example.org", "Example.NET"]
postmaster = "you@example.org"
accounts = "/etc/mailserver/passwd"
mail = "/var/mail/{domain}/{user}/Maildir"

[tls]
certificate = "/etc/mailserver/fullchain.pem"
key = "/etc/mailserver/privkey.pem"

[limits]
message_size = 10_000_000

[[listener]]
protocol = "smtp"
address = "0.0.0.0:25"
tls = "starttls"

[[listener]]
protocol = "imap"
address = "[::]:993"
tls = "implicit"

[[listener]]
protocol = "lmtp"
address = "unix:/run/mailserver/lmtp"
"#;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("mail.toml"), text, Path::new("/etc"), |_, _| {}).map_err(|error| error.to_string())
}

#[test]
fn a_good_file() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.domains, ["example.org", "example.net"]);
    assert_eq!(config.limits.message_size, 10_000_000);
    assert_eq!(config.limits.recipients, 1000);
    assert_eq!(config.listeners.len(), 3);
    assert_eq!(config.listeners[2].address, Address::Unix("/run/mailserver/lmtp".into()));
    assert_eq!(config.listeners[2].tls, TlsMode::None);
}

#[test]
fn how_many_messages_one_command_may_be_about() {
    assert_eq!(parse(GOOD).unwrap().limits.messages_per_command, None);
    let with =
        |number: &str| parse(&GOOD.replace("message_size = 10_000_000", &format!("messages_per_command = {number}")));
    assert_eq!(with("5000").unwrap().limits.messages_per_command.unwrap().get(), 5000);
    assert_eq!(with("4294967295").unwrap().limits.messages_per_command.unwrap().get(), u32::MAX);
    for number in ["0", "4294967296"] {
        let error = with(number).unwrap_err();
        assert!(error.contains(&format!("mail.toml:13:24: {number} is not in the range from 1 to")), "{error}");
    }
}

#[test]
fn how_mailboxes_lie() {
    assert_eq!(parse(GOOD).unwrap().mailboxes, Mailboxes::default());
    let with = |keys: &str| parse(&GOOD.replace("[tls]", &format!("[mailboxes]\n{keys}\n[tls]")));
    let mailboxes = with(
        "layout = \"fs\"\nnames = \"utf-8\"\ninbox = \"/var/mail/{user}@{domain}\"\nprefix = \"INBOX/\"\nseparator = \"/\"\nsharing = \"acl\"",
    );
    let mailboxes = mailboxes.unwrap().mailboxes;
    assert_eq!((mailboxes.prefix.as_str(), mailboxes.separator.as_char()), ("INBOX/", '/'));
    let sharing = mailboxes.sharing.as_ref().unwrap();
    assert_eq!(
        (sharing.other_users.as_ref().unwrap().as_str(), &sharing.public, sharing.anyone),
        ("Other Users", &None, false)
    );
    let options = mailboxes.of("you", "example.org");
    assert_eq!((options.layout, options.names), (Layout::Fs, DiskNames::Utf8));
    assert_eq!(options.inbox, Some("/var/mail/you@example.org".into()));
    for (keys, message) in [
        ("layout = \"mbox\"", "`mbox`"),
        ("names = \"latin1\"", "`latin1`"),
        ("inbox = \"/var/mail/inbox\"", "must hold `{user}`"),
        (
            "inbox = \"/var/mail/{user}\"",
            "mail.toml:9:9: several domains are served, so that the mail location must hold `{domain}`",
        ),
        ("prefix = \"INBOX.\"", "no mailbox name with '/' behind it"),
        ("prefix = \"INBOX\"\nseparator = \".\"", "no mailbox name with '.' behind it"),
        ("separator = \"|\"", "`|`"),
        ("sharing = \"yes\"", "`yes` is not one of `none`, `acl`"),
        ("prefixes = \"\"", "did you mean `prefix`?"),
        ("other_users = \"shared\"", "`other_users` means nothing without `sharing = \"acl\"`"),
        ("sharing = \"none\"\nanyone = \"allow\"", "`anyone` means nothing"),
        ("sharing = \"acl\"\nanyone = \"allowed\"", "did you mean `allow`?"),
        ("sharing = \"acl\"\nother_users = \"shared/\"", "there is none at the end"),
        ("sharing = \"acl\"\nother_users = \"Inbox\"", "INBOX is everybody's own"),
        ("sharing = \"acl\"\npublic = { name = \"Public\" }", "`account` is missing"),
        ("sharing = \"acl\"\npublic = { name = \"Public\", account = \"team\" }", "`team` is not an account"),
        (
            "sharing = \"acl\"\npublic = { name = \"Other Users/all\", account = \"team@example.org\" }",
            "`Other Users` is where the mailboxes of other users are",
        ),
        ("separator = \".\"\nsharing = \"acl\"", "mail.toml:10:11: names of accounts such as"),
        (
            "separator = \".\"\nsharing = \"acl\"\nother_users = \"shared\"\n\
             public = { name = \"Public\", account = \"team@example.org\" }",
            "mail.toml:11:15: names of accounts such as `you@example.org` hold dots",
        ),
        (
            "separator = \".\"\nsharing = \"acl\"\npublic = { name = \"Public.all\", account = \"team@example.org\" }",
            "no level can hold the separator `.`",
        ),
        ("prefix = \"Mail/\"\nsharing = \"acl\"\nother_users = \"Mail\"", "which `Mail` would hide"),
        ("prefix = \"Other Users/\"\nsharing = \"acl\"", "which `Other Users` would hide"),
        (
            "prefix = \"Mail.own.\"\nseparator = \".\"\nsharing = \"acl\"\n\
             public = { name = \"Mail\", account = \"team@example.org\" }",
            "`Mail.own.` is in front of everybody's own mailboxes",
        ),
    ] {
        let told = with(keys).unwrap_err();
        assert!(told.contains(message), "{told}");
    }
    for keys in [
        "prefix = \"Mail/\"\nsharing = \"acl\"\nother_users = \"Mail/shared\"",
        "prefix = \"Mail/\"\nsharing = \"acl\"\nother_users = \"shared/all\"",
    ] {
        assert!(with(keys).unwrap().mailboxes.sharing.unwrap().other_users.is_some(), "{keys}");
    }
    let public = "prefix = \"INBOX.\"\nseparator = \".\"\nsharing = \"acl\"\n\
        public = { name = \"Public/all\", account = \"team@example.org\" }";
    let sharing = with(public).unwrap().mailboxes.sharing.unwrap();
    assert!(sharing.other_users.is_none() && sharing.public.is_some());
}

/// One domain needs no folder of its own.
#[test]
fn accounts_of_one_domain_are_told_apart_by_their_names() {
    let one = GOOD.replace(", \"Example.NET\"", "").replace("{domain}/{user}", "{user}");
    let config = parse(&one.replace("[tls]", "[mailboxes]\ninbox = \"/var/mail/{user}/inbox\"\n[tls]")).unwrap();
    assert_eq!(config.mail.folder("you", "example.org"), Some("/var/mail/you/Maildir".into()));
}

#[test]
fn who_stands_in_front() {
    let keys =
        "tls = \"starttls\"\nproxies = [\"192.0.2.10\", \"2001:db8::/64\"]\nxclient = [\"192.0.2.11\"]\nxforward = []";
    let config = parse(&GOOD.replace("tls = \"starttls\"", keys)).unwrap();
    let listener = &config.listeners[0];
    assert_eq!(listener.proxies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.10", "2001:db8::/64"]);
    assert_eq!((listener.xclient.len(), listener.xforward.len()), (1, 0));
    assert!(config.listeners[1].proxies.is_empty() && config.limits.trusted.is_empty());
    assert!(!config.listeners[1].compress);
    let config = parse(&GOOD.replace("tls = \"implicit\"", "tls = \"implicit\"\ncompress = true")).unwrap();
    assert!(config.listeners[1].compress && !config.listeners[0].compress);
    let config = parse(&GOOD.replace("[limits]", "[limits]\ntrusted = [\"192.0.2.0/28\"]")).unwrap();
    assert!(config.limits.trusted[0].contains("192.0.2.15".parse().unwrap()));
}

#[test]
fn paths_begin_at_the_folder_of_the_file() {
    let config = parse(&GOOD.replace("/etc/mailserver/", "mailserver/").replace("unix:/run/", "unix:")).unwrap();
    assert_eq!(config.accounts, Path::new("/etc/mailserver/passwd"));
    assert_eq!(config.tls.unwrap().key, Path::new("/etc/mailserver/privkey.pem"));
    assert_eq!(config.listeners[2].address, Address::Unix("/etc/mailserver/lmtp".into()));
}

#[test]
fn what_accounts_may_use() {
    let table = "[quota]\nstorage = \"1G\"\nmessages = 5000\nrules = [\"Trash:storage=+10%\"]\ngrace = \"5%\"\nover = \"refuse\"\nset_by = [\"Ops@example.org\"]\n";
    let config = parse(&format!("{GOOD}{table}")).unwrap();
    assert_eq!(config.quota.quota(), Quota { bytes: Some(1 << 30), messages: Some(5000) });
    assert_eq!(config.over_quota, OverQuota::Refuse);
    assert_eq!(config.quota_set_by, ["ops@example.org"]);
    let config = parse(GOOD).unwrap();
    assert_eq!((config.quota, config.over_quota), (QuotaRules::default(), OverQuota::Later));
    for (line, told) in [
        ("storage = \"1X\"", "mail.toml:29:11: `1X` is not a number such as"),
        ("storage = \"0\"", "mail.toml:29:11: `0` would be no limit: leave `storage` out for that"),
        ("storage = \"00G\"", "mail.toml:29:11: `00G` would be no limit"),
        ("storage = 5", "mail.toml:29:11: this is a whole number, but a text"),
        ("messages = 0", "mail.toml:29:12: 0 is not in the range from 1"),
        ("rules = [\"Trash:ignore\"]", "mail.toml:29:10: mailboxes cannot be left out of the quota"),
        ("rules = [\"Trash\"]", "mail.toml:29:10: a quota rule is written as MAILBOX:storage=SIZE"),
        ("grace = \"much\"", "mail.toml:29:9: `much` is not a number"),
        ("over = \"bounce\"", "mail.toml:29:8: `bounce` is not one of `later`, `refuse`"),
        ("set_by = [\"ops\"]", "mail.toml:29:11: the account `ops` needs its domain"),
        ("set_by = \"ops@x\"", "mail.toml:29:10: this is a text, but a list"),
        ("size = \"1G\"", "mail.toml:29:1: unknown key `size`"),
    ] {
        let error = parse(&format!("{GOOD}[quota]\n{line}\n")).expect_err(line);
        assert!(error.contains(told), "for {line}:\n{error}\ninstead of {told}");
    }
}

/// Each row: a piece of the good file, what stands there instead, and where and how that is told.
#[test]
fn every_mistake_is_told_with_its_place() {
    let rows = [
        ("hostname =", "hostnme =", "mail.toml:2:1: unknown key `hostnme`; did you mean `hostname`?"),
        ("hostname = \"mail.example.org\"", "", "the key `hostname` is missing"),
        ("\"mail.example.org\"", "25", "mail.toml:2:12: this is a whole number, but a text in quotes is needed"),
        ("\"mail.example.org\"", "\"mail_example\"", "mail.toml:2:12: `mail_example` is not a host name"),
        ("\"example.org\", \"Example.NET\"", "", "mail.toml:3:11: at least one domain is needed"),
        ("\"Example.NET\"", "\"EXAMPLE.org\"", "mail.toml:3:27: the domain `example.org` stands here twice"),
        ("\"you@example.org\"", "\"you\"", "mail.toml:4:14: `you` is not an account such as"),
        ("{user}/Maildir", "Maildir", "mail.toml:6:8: the mail location must hold `{user}`"),
        ("{domain}/{user}", "{user}", "mail.toml:6:8: several domains are served, so that the mail location must hold"),
        ("{user}/Maildir", "{user}/{home}", "mail.toml:6:8: in a mail location only `{user}` and `{domain}`"),
        ("key = ", "kee = ", "mail.toml:10:1: unknown key `kee`; did you mean `key`?"),
        ("10_000_000", "0", "mail.toml:13:16: 0 is not in the range from 1024 to"),
        ("10_000_000", "-1", "mail.toml:13:16: -1 is not in the range"),
        ("message_size", "mesage_size", "mail.toml:13:1: unknown key `mesage_size`; did you mean `message_size`?"),
        (
            "\"smtp\"",
            "\"smpt\"",
            "mail.toml:16:12: `smpt` is not one of `smtp`, `submission`, `lmtp`, `imap`; did you mean `smtp`?",
        ),
        ("0.0.0.0:25", "0.0.0.0", "mail.toml:17:11: `0.0.0.0` is not an address such as"),
        ("[::]:993", "[::]:25", "mail.toml:22:11: [::]:25 and 0.0.0.0:25 cannot both be listened on"),
        ("[::]:993", "127.0.0.1:25", "mail.toml:22:11: 127.0.0.1:25 and 0.0.0.0:25 cannot both be listened on"),
        ("[::]:993", "0.0.0.0:25", "two listeners have the address 0.0.0.0:25"),
        ("\"implicit\"", "\"none\"", "mail.toml:23:7: a listener for imap needs TLS"),
        ("unix:/run/mailserver/lmtp", "127.0.0.1:25", "mail.toml:27:11: LMTP must not be spoken on port 25"),
        ("unix:/run/mailserver/lmtp", "unix:", "mail.toml:27:11: after `unix:` the path of the socket is missing"),
        ("[limits]", "[limits", "mail.toml:12:"),
        ("message_size = 10_000_000", "trusted = [\"192.0.2.1/24\"]", "mail.toml:13:12: `192.0.2.1/24` is neither an"),
        ("message_size = 10_000_000", "free_space = 0", "mail.toml:13:14: 0 is not in the range"),
        ("message_size = 10_000_000", "connections_per_minute = 0", "mail.toml:13:26: 0 is not in the range"),
        ("tls = \"starttls\"", "proxies = \"192.0.2.1\"", "mail.toml:18:11: this is a text, but a list"),
        ("tls = \"starttls\"", "xclient = [\"proxy\"]", "mail.toml:18:12: `proxy` is neither an address nor"),
        (
            "tls = \"starttls\"",
            "compress = true",
            "mail.toml:18:12: `compress` is for listeners for imap, not for smtp",
        ),
        (
            "tls = \"implicit\"",
            "tls = \"implicit\"\ncompress = 1",
            "mail.toml:24:12: this is a whole number, but true or false",
        ),
        ("tls = \"implicit\"", "tls = \"implicit\"\nxclient = [\"::1\"]", "mail.toml:24:11: IMAP has neither XCLIENT"),
    ];
    for (piece, instead, told) in rows {
        assert!(GOOD.contains(piece), "{piece}");
        let error = parse(&GOOD.replacen(piece, instead, 1)).expect_err(instead);
        assert!(error.contains(told), "for {instead:?}:\n{error}\ninstead of {told}");
    }
}

#[test]
fn tls_without_a_certificate() {
    let start = GOOD.find("[tls]").unwrap();
    let end = GOOD.find("[limits]").unwrap();
    let error = parse(&format!("{}{}", &GOOD[..start], &GOOD[end..])).unwrap_err();
    assert!(error.contains("TLS needs a certificate"), "{error}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let error = parse("hostname = 1\ndomains = 2\n").unwrap_err();
    for told in ["mail.toml:1:12", "mail.toml:2:11", "`postmaster` is missing", "`listener` is missing"] {
        assert!(error.contains(told), "{told} in\n{error}");
    }
}

#[test]
fn how_mail_for_elsewhere_is_sent() {
    assert_eq!(parse(GOOD).unwrap().sending, None);
    let tables = r#"
[queue]
folder = "queue"
expire_after = "36h"
source = ["192.0.2.1", "2001:db8::1"]

[dns]
servers = ["127.0.0.1", "[::1]:5353"]

[tls_reports]
folder = "tls-reports"
organization_name = "Example"
sender_address = "tls@example.org"
spread_out_delivery = "10m"

[[route]]
recipients = ["*"]
to = "smtp://you%40example.org@smtp.example.com"
password_env = "PASSWORD"

[[route]]
recipients = ["example.com", "joe@example.edu"]
to = "mx"
tls = "verified"

[[route]]
senders = [".example.net"]
to = "smtps://you@[192.0.2.7]:4650"
password_file = "password"

[[route]]
recipients = [".example.com"]
to = "lmtp:unix:lmtp"
"#;
    let config = parse(&format!("{GOOD}{tables}")).unwrap();
    let (sending, dns) = (config.sending.unwrap(), config.dns);
    assert_eq!(sending.folder, Path::new("/etc/queue"));
    assert_eq!((sending.expire_after.as_secs(), sending.notice_after.as_secs()), (36 * 3600, 4 * 3600));
    assert_eq!(dns.servers, ["127.0.0.1:53".parse().unwrap(), "[::1]:5353".parse().unwrap()]);
    assert_eq!(dns.validates, None);
    let reports = sending.tls_reports.as_ref().unwrap();
    assert_eq!((&*reports.folder, &*reports.organization_name), (Path::new("/etc/tls-reports"), "Example"));
    assert_eq!((reports.sender_address.to_string(), &reports.contact_info), ("tls@example.org".into(), &None));
    assert_eq!((reports.spread_out_delivery.as_secs(), reports.private_hosts), (600, false));
    let host = |of: usize| match &sending.routes[of].to {
        NextHop::Host(host) => (host.host.clone(), host.port, host.tls, host.login.clone().unwrap().0),
        other => panic!("{other:?}"),
    };
    assert_eq!(sending.routes[0].of, RouteOf::Rest);
    assert_eq!(host(0), ("smtp.example.com".into(), 587, RouteTls::Verified, "you@example.org".into()));
    assert_eq!(sending.routes[1].to, NextHop::MxWithTls(RouteTls::Verified));
    assert_eq!(sending.routes[2].of, RouteOf::Senders(vec![".example.net".into()]));
    assert_eq!(host(2), ("[192.0.2.7]".into(), 4650, RouteTls::Implicit, "you".into()));
    assert_eq!(sending.routes[3].to, NextHop::LmtpSocket("/etc/lmtp".into()));
}
