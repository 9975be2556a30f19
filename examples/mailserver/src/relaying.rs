//! Who may send where: everybody to the accounts here, users and hosts of ours to everybody else.

use std::net::IpAddr;
use std::sync::Arc;

use pillarbox::Network;
use pillarbox::mailcore::Reply;
use pillarbox::mailcore::address::{ForwardPath, ReversePath};
use pillarbox::outbound::{Forward, SharedForward};
use pillarbox::parts::{Authenticator as _, BoxFuture, Clock as _, Identity, Policy, Session, SystemClock, Verdict};
use pillarbox::smtp_proto::server::{Mail, Rcpt};

use crate::accounts::Accounts;

/// The account that a recipient means, and for `<Postmaster>` also with the name of this host.
pub fn account_of(accounts: &Accounts, hostname: &str, path: &ForwardPath<'_>) -> Option<Identity> {
    accounts.of_recipient(path).or_else(|| match path {
        ForwardPath::Address(address)
            if address.domain().as_str().eq_ignore_ascii_case(hostname)
                && address.local().unquoted().eq_ignore_ascii_case("postmaster") =>
        {
            accounts.of_recipient(&ForwardPath::Postmaster)
        }
        _ => None,
    })
}

/// Whether a client is one of these hosts.
pub fn is_among(hosts: &[Network], ip: Option<IpAddr>) -> bool {
    ip.is_some_and(|ip| hosts.iter().any(|network| network.contains(ip)))
}

/// The policy of one listener: what it says of mail for elsewhere, and another's for all that is here.
pub struct Relaying {
    pub here: Arc<dyn Policy>,
    pub accounts: Arc<Accounts>,
    /// Mail for elsewhere is sent.
    pub sends: bool,
    /// What is sent on, for whoever sends it.
    pub forward: Option<SharedForward>,
    /// Hosts that may send it without a login.
    pub hosts: Vec<Network>,
}

impl Relaying {
    /// Whether all that an alias leads to is in the domains here, and none of it is anybody: what is known while the message comes is
    /// refused then, and sets off no notice.
    async fn leads_nowhere(&self, forward: &Forward, to: &ForwardPath<'_>) -> bool {
        let targets = to.address().and_then(|address| forward.aliases().of(address)).unwrap_or_default();
        for target in targets {
            let path = ForwardPath::Address(target.clone());
            let is_itself = to.address() == Some(target);
            let Some(account) = self.accounts.of_recipient(&path).filter(|_| is_itself || !forward.takes(&path)) else {
                return false;
            };
            if self.accounts.knows(account.user()).await != Some(false) {
                return false;
            }
        }
        !targets.is_empty()
    }

    fn elsewhere(&self, session: &Session) -> Verdict {
        let is_ours = is_among(&self.hosts, session.ip);
        let refuse = |text| Verdict::Refuse(Reply::enhanced(550, 5, 7, 1, text));
        match (session.identity.is_some() || is_ours, self.sends) {
            (true, true) => Verdict::Accept,
            (true, false) => refuse("this server has no route to other servers"),
            (false, _) => refuse("this server does not relay: that domain is not served here"),
        }
    }
}

impl Policy for Relaying {
    fn connect<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, Verdict> {
        self.here.connect(session)
    }

    fn sender<'a>(&'a self, session: &'a Session, mail: &'a Mail<'a>) -> BoxFuture<'a, Verdict> {
        self.here.sender(session, mail)
    }

    fn recipient<'a>(&'a self, session: &'a Session, rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        // Its queue looks after the room that it needs.
        let sender = session.sender.as_ref().unwrap_or(&ReversePath::Null);
        if let Some(forward) = self.forward.as_ref().map(SharedForward::current)
            && let Some(verdict) = forward.judge(&rcpt.to, sender, SystemClock::new().wall())
        {
            return Box::pin(async move {
                if matches!(verdict, Verdict::Accept) && self.leads_nowhere(&forward, &rcpt.to).await {
                    return Verdict::Refuse(Reply::enhanced(550, 5, 1, 1, "the alias leads to nobody"));
                }
                verdict
            });
        }
        match self.accounts.of_recipient(&rcpt.to) {
            Some(_) => self.here.recipient(session, rcpt),
            None => Box::pin(std::future::ready(self.elsewhere(session))),
        }
    }

    fn wants_header(&self, session: &Session) -> bool {
        self.forward.is_some() || self.here.wants_header(session)
    }

    fn header<'a>(&'a self, session: &'a Session, header: &'a [u8]) -> BoxFuture<'a, Verdict> {
        let forward = self.forward.as_ref().map(SharedForward::current);
        let circle = forward.and_then(|forward| forward.judge_header(&session.recipients, header));
        match circle {
            Some(verdict) => Box::pin(std::future::ready(verdict)),
            None if self.here.wants_header(session) => self.here.header(session, header),
            None => Box::pin(std::future::ready(Verdict::Accept)),
        }
    }
}
