//! An IMAP server on loopback whose mail lives as long as it runs: one account, the mailboxes that mail programs look for, and
//! a message to begin with. For trying the library, and for testing programs that speak IMAP.
//!
//! `imap-memory [port [user [password]]]`
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use pillarbox::Shutdown;
use pillarbox::imap::{ImapServer, ServerConfig};
use pillarbox::imap_proto::types::{MailboxName, SpecialUse};
use pillarbox::parts::{Append, Identity, MailboxStore, MemoryAuthenticator, Parts};
use pillarbox::store::MemoryStore;
use tokio::net::TcpListener;

const WELCOME: &[u8] = b"From: imap-memory <nobody@localhost>\r\n\
    To: you@localhost\r\n\
    Subject: Welcome\r\n\
    Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
    Message-ID: <welcome@localhost>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\
    \r\n\
    This mailbox is gone when the server is. Gr=C3=BC=C3=9Fe!\r\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().unwrap_or_else(|| "1143".into());
    let user = arguments.next().unwrap_or_else(|| "you@localhost".into());
    let password = arguments.next().unwrap_or_else(|| "secret".into());
    match serve(&port, &user, &password).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("imap-memory: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(port: &str, user: &str, password: &str) -> Result<(), Box<dyn Error>> {
    let store = MemoryStore::new();
    fill(&store, &Identity::new(user)).await?;

    let mut config = ServerConfig::default();
    // Nobody listens on loopback. Anywhere else a password needs TLS: see `ImapServer::tls`.
    config.login_without_tls = true;
    let accounts = MemoryAuthenticator::new().with(user, password);
    let parts = Parts { store: Arc::new(store), authenticator: Arc::new(accounts), ..Parts::in_memory() };
    let server = ImapServer::new(config, parts);

    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    println!("listening on {}, log in as {user}", listener.local_addr()?);
    let shutdown = Shutdown::new();
    tokio::select! {
        () = server.serve(listener, &shutdown) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

/// Makes the mailboxes that mail programs look for, and puts a message into INBOX.
async fn fill(store: &dyn MailboxStore, user: &Identity) -> Result<(), Box<dyn Error>> {
    let special = [
        ("Archive", SpecialUse::Archive),
        ("Drafts", SpecialUse::Drafts),
        ("Junk", SpecialUse::Junk),
        ("Sent", SpecialUse::Sent),
        ("Trash", SpecialUse::Trash),
    ];
    for (name, special) in special {
        let name = MailboxName::new(name)?;
        store.create(user, &name, &[special]).await?;
        store.subscribe(user, &name, true).await?;
    }
    let mut message = store.append(user, &MailboxName::inbox(), Append::default()).await?;
    message.write(WELCOME).await?;
    message.publish().await?;
    Ok(())
}
