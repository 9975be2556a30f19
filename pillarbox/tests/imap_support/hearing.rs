//! Clients that listen to what happens elsewhere.

use std::sync::Arc;
use std::time::Duration;

use pillarbox::store::{AclStore, MaildirStore, MemoryStore};
use pillarbox_imap::types::MailboxName;
use tokio::io::DuplexStream;

use super::{Client, Server};

pub fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

/// Time passes wherever a session gathers what happens before it tells more, as long as this is there.
pub fn hurry(server: &Server) -> Hurry {
    let clock = server.clock.clone();
    let pauses = [Duration::from_secs(1), Duration::from_millis(250)];
    Hurry(tokio::spawn(async move { clock.pass_over(&pauses).await }))
}

pub struct Hurry(tokio::task::JoinHandle<()>);

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The next line, which has to come.
#[track_caller]
pub fn heard(client: &mut Client<DuplexStream>) -> impl Future<Output = String> {
    let here = std::panic::Location::caller();
    let line = tokio::time::timeout(Duration::from_secs(15), client.line());
    async move { line.await.unwrap_or_else(|_| panic!("nothing was heard at {here}")) }
}

/// The numbers that a STATUS line tells, without the one that no test can know.
pub fn without_validity(line: &str) -> String {
    let (before, rest) = line.split_once(" UIDVALIDITY ").unwrap_or_else(|| panic!("{line}"));
    let end = rest.find([' ', ')']).unwrap();
    format!("{before}{}", &rest[end..])
}

/// Servers over each store, bare and behind rights; and what one of them lies in.
pub fn each() -> Vec<(Server, Option<tempfile::TempDir>)> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let maildirs = MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir")));
    let [memory, maildir] = Server::each();
    vec![
        (memory, None),
        (maildir, None),
        (Server::over(Arc::new(AclStore::new(MemoryStore::new()))), None),
        (Server::over(Arc::new(AclStore::new(maildirs))), Some(dir)),
    ]
}
