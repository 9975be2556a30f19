//! Mailboxes of others, mailboxes that belong to nobody, and groups.

use crate::client::{Client, base64};
use crate::process::Server;
use crate::serve::{Site, write_secret};

const SHARING: &str = "[mailboxes]\nsharing = \"acl\"\nother_users = \"shared\"\n\
    public = { name = \"Public\", account = \"team@example.org\" }\n";

const ACCOUNTS: &str = "joe@example.org:{PLAIN}x::::::userdb_acl_groups=staff,desk\n\
    ann@example.org:{PLAIN}x\n\
    eve@example.net:{PLAIN}x::::::userdb_acl_groups=other\n\
    ops@example.org:{PLAIN}x\n\
    team@example.org:{PLAIN}x\n";

fn login(server: &Server, user: &str) -> Client {
    let mut client = Client::over_tls(&server.address("imap, TLS"));
    client.line();
    let answer = client.command("l", &format!("AUTHENTICATE PLAIN {}", base64(&format!("\0{user}\0x"))));
    assert!(answer.contains("l OK"), "{answer}");
    client
}

#[track_caller]
fn says(client: &mut Client, command: &str, answer: &str) {
    let told = client.command("a", command);
    assert!(told.contains(answer), "{command}: {told}");
}

#[test]
fn groups_and_mailboxes_of_nobody() {
    let site = Site::new(SHARING);
    write_secret(&site.path("passwd"), ACCOUNTS);
    let server = Server::serve(&site.config(), site.listeners());
    let (mut ann, mut joe, mut eve) =
        (login(&server, "ann@example.org"), login(&server, "joe@example.org"), login(&server, "eve@example.net"));
    says(&mut ann, "NAMESPACE", "* NAMESPACE ((\"\" \"/\")) ((\"shared/\" \"/\")) ((\"Public/\" \"/\"))");
    says(&mut ann, "CREATE Work", "a OK");
    says(&mut ann, "SETACL Work $staff lr", "a OK");
    says(&mut ann, "SETACL Work anyone lr", "a NO [NOPERM]");
    says(&mut joe, "LIST \"\" shared/ann@example.org/*", " shared/ann@example.org/Work\n");
    says(&mut joe, "MYRIGHTS shared/ann@example.org/Work", " lr\n");
    says(&mut eve, "MYRIGHTS shared/ann@example.org/Work", "a NO [NONEXISTENT]");

    // Whoever has the account says who may do what at the top; what is there belongs to nobody.
    let mut team = login(&server, "team@example.org");
    says(&mut team, "SETACL INBOX $desk lrk", "a OK");
    says(&mut joe, "CREATE Public/Plans", "a OK");
    says(&mut eve, "CREATE Public/Plans/Mine", "a NO [NONEXISTENT]");
    says(&mut joe, "LIST \"\" Public/*", " Public/Plans\n");
    says(&mut eve, "LIST \"\" Public/*", "a OK");
    says(&mut team, "SETACL Plans authenticated lr", "a OK");
    says(&mut eve, "STATUS Public/Plans (MESSAGES)", "* STATUS Public/Plans (MESSAGES 0)");

    // Groups are read again when the file changes.
    write_secret(&site.path("passwd"), &ACCOUNTS.replace("=staff,desk", "=desk"));
    says(&mut joe, "MYRIGHTS shared/ann@example.org/Work", "a NO [NONEXISTENT]");
    server.stop();
}

#[test]
fn sharing_with_everybody() {
    let site = Site::new("[mailboxes]\nsharing = \"acl\"\nanyone = \"allow\"\n");
    write_secret(&site.path("passwd"), ACCOUNTS);
    let server = Server::serve(&site.config(), site.listeners());
    let (mut ann, mut eve) = (login(&server, "ann@example.org"), login(&server, "eve@example.net"));
    says(&mut ann, "CREATE Work", "a OK");
    says(&mut ann, "SETACL Work anyone lr", "a OK");
    says(&mut eve, "MYRIGHTS \"Other Users/ann@example.org/Work\"", " lr\n");
    says(&mut eve, "NAMESPACE", "((\"Other Users/\" \"/\")) NIL");
    server.stop();
}

/// RFC 4314 §2: every name that a login takes is the user's: in the passwd-file, in a list, in front of a mailbox's name.
#[test]
fn names_in_any_spelling() {
    let site = Site::new(SHARING);
    write_secret(&site.path("passwd"), &ACCOUNTS.replace("ann@", "Ann@").replace("team@", "TEAM@"));
    let server = Server::serve(&site.config(), site.listeners());
    let (mut ann, mut eve) = (login(&server, "ANN@example.org"), login(&server, "eve@example.net"));
    let mut team = login(&server, "team@EXAMPLE.org");
    says(&mut ann, "CREATE Work", "a OK");
    says(&mut ann, "SETACL Work Eve@Example.NET lr", "a OK");
    says(&mut eve, "MYRIGHTS shared/ann@example.org/Work", " lr\n");
    says(&mut eve, "MYRIGHTS shared/ANN@example.org/Work", " lr\n");
    says(&mut ann, "SETACL Work -EVE@example.net lr", "a OK");
    says(&mut eve, "MYRIGHTS shared/ann@example.org/Work", "a NO [NONEXISTENT]");
    says(&mut ann, "SETACL Work aNN@example.org lrs", "a OK");
    says(&mut ann, "MYRIGHTS Work", " lrsa\n");

    says(&mut team, "SETACL INBOX Ann@example.org lrk", "a OK");
    says(&mut ann, "CREATE Public/Plans", "a OK");
    says(&mut team, "STATUS Plans (MESSAGES)", "* STATUS Plans (MESSAGES 0)");
    server.stop();
}
