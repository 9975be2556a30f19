//! What a receiver decides for itself.

use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::dns::Name;

use crate::authres::{Text, Trusted};
use crate::{dkim, dmarc, from, spf};

/// How a receiver checks its mail. Made once, and shared by all messages.
///
/// ```
/// use pillarbox_auth::inbound::Config;
///
/// let mut config = Config::new("mx.example.org");
/// config.trusted_sealers.push("lists.example.net".parse()?);
/// config.received_spf = true;
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The name in our field Authentication-Results (RFC 8601 §2.5).
    pub authserv_id: Text,
    /// The names whose fields Authentication-Results are taken out of what comes: [`authserv_id`](Config::authserv_id), and
    /// those of the other hosts that whoever reads our mail believes (RFC 8601 §5).
    pub own: Trusted,
    /// The host that receives, for Received-SPF and the macro `%{r}`; the authserv-id, where that is a domain.
    pub receiver: Option<Name>,
    /// Whether a field Received-SPF is written, too. Default: no, as Authentication-Results says the same.
    pub received_spf: bool,
    /// Names of the client that are looked at to find one that leads back to its address; none asks nothing. Default: 10
    /// (RFC 8601 §3).
    pub iprev_names_max: usize,
    /// What a check of SPF may cost.
    pub spf: spf::Limits,
    /// What counts as a signature. Its limits on keys, lookups and the header hold for ARC, too.
    pub dkim: dkim::Policy,
    /// What reading the authors may cost.
    pub from: from::Limits,
    /// How DMARC is done.
    pub dmarc: dmarc::Config,
    /// Who is believed by ARC: the domains of forwarders and mailing lists that check what they pass on. A message that fails
    /// DMARC here is taken, if its chain is whole, and one of these says that it passed when it came there, and nobody else
    /// has sealed it since. Default: nobody (RFC 8617 §9).
    pub trusted_sealers: Vec<Name>,
    /// Questions of one message that are open at once; others wait. 20, so that those of all methods start together, and a
    /// message makes no burst.
    pub open_questions_max: usize,
    /// Results of DKIM that are written into Authentication-Results: 16, and 94 at most. All passes are among them, then what
    /// stands at the top.
    pub dkim_results_max: usize,
}

impl Config {
    /// The defaults, for the host of this name.
    pub fn new(authserv_id: impl fmt::Display) -> Self {
        let authserv_id = Text::new(authserv_id);
        Config {
            own: Trusted::new([authserv_id.as_str()]),
            receiver: Name::parse(authserv_id.as_str()).ok(),
            authserv_id,
            received_spf: false,
            iprev_names_max: 10,
            spf: spf::Limits::default(),
            dkim: dkim::Policy::default(),
            from: from::Limits::default(),
            dmarc: dmarc::Config::default(),
            trusted_sealers: Vec::new(),
            open_questions_max: 20,
            dkim_results_max: 16,
        }
    }
}
