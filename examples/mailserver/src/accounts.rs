//! Which recipients are ours, and where their mail is.

use std::collections::HashSet;
use std::sync::Arc;

use pillarbox::mailcore::Reply;
use pillarbox::mailcore::address::{Address, ForwardPath};
use pillarbox::parts::{Authenticator, BoxFuture, Identity, Policy, Session, Verdict};
use pillarbox::smtp_proto::server::Rcpt;

use crate::config::Config;

/// The names of a configuration: domains and who gets mail for `postmaster`.
#[derive(Clone, Debug)]
pub struct Names {
    domains: HashSet<String>,
    postmaster: Identity,
}

impl Names {
    pub fn new(config: &Config) -> Self {
        let domains = config.domains.iter().cloned().collect();
        Names { domains, postmaster: Identity::new(config.postmaster.clone()) }
    }

    fn is_local(&self, address: &Address<'_>) -> bool {
        self.domains.contains(&address.domain().as_str().to_ascii_lowercase())
    }

    /// The account that a recipient means; `None` if it is not ours. Whether there is such an account is another question.
    ///
    /// Local parts are compared without case: only the server that an address belongs to may decide that (RFC 5321
    /// §2.4), and people expect it.
    pub fn account(&self, path: &ForwardPath<'_>) -> Option<Identity> {
        let ForwardPath::Address(address) = path else { return Some(self.postmaster.clone()) };
        if !self.is_local(address) {
            return None;
        }
        let local = address.local().unquoted().to_lowercase();
        // RFC 5321 §4.5.1
        if local == "postmaster" {
            return Some(self.postmaster.clone());
        }
        Some(Identity::new(format!("{local}@{}", address.domain().as_str().to_ascii_lowercase())))
    }
}

/// Accepts mail for the accounts of our domains, and for nobody else.
pub struct LocalOnly {
    pub names: Names,
    pub accounts: Arc<dyn Authenticator>,
}

impl Policy for LocalOnly {
    fn recipient<'a>(&'a self, session: &'a Session, rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let Some(account) = self.names.account(&rcpt.to) else {
                return Verdict::Refuse(match session.identity {
                    Some(_) => {
                        Reply::enhanced(550, 5, 7, 1, "this server has no queue yet: it cannot send mail elsewhere")
                    }
                    None => Reply::enhanced(550, 5, 7, 1, "this server does not relay: that domain is not served here"),
                });
            };
            match self.accounts.knows(account.user()).await {
                Some(true) => Verdict::Accept,
                Some(false) => Verdict::Refuse(Reply::enhanced(550, 5, 1, 1, "no such mailbox here")),
                None => Verdict::Refuse(Reply::enhanced(451, 4, 3, 0, "the list of mailboxes cannot be read now")),
            }
        })
    }
}
