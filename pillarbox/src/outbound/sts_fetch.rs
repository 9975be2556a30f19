//! Policies of MTA-STS by HTTPS (RFC 8461 §3.3).

use std::sync::Arc;

use pillarbox_auth::mta_sts::{FetchError, Limits, POLICY_PATH, policy_host};
use pillarbox_core::dns::Name;

use super::https::{Ask, Https};
use super::{FetchedPolicy, OutboundParts, PolicyFetch, StsFolder};
use crate::parts::BoxFuture;

/// Fetches policies by HTTPS: the certificate is checked for the name of the host, no redirect is followed, no proxy is used, no
/// address that is not public is connected to, 64 KiB are read at most, and it takes a minute at most. Made with the feature
/// `https`.
///
/// ```
/// use std::sync::Arc;
/// use pillarbox::outbound::{Disk, HttpsPolicies, OutboundParts, StsFolder, StsPolicies, spool::RealFs};
///
/// # let folder = tempfile::tempdir()?;
/// # let tls = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
/// let kept = StsFolder::open(Arc::new(RealFs), folder.path(), Disk::default())?;
/// let mut parts = OutboundParts::from_system();
/// let web = HttpsPolicies::new(&parts, Arc::new(tls)).keep_in(kept);
/// parts.policies = Some(Arc::new(StsPolicies::new(Arc::new(web))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HttpsPolicies {
    https: Https,
    folder: Option<Arc<StsFolder>>,
}

impl HttpsPolicies {
    /// Policies from hosts that have certificates which `tls` trusts. Resolver, connections and clock are taken from `parts`.
    /// Nothing is kept.
    pub fn new(parts: &OutboundParts, tls: Arc<rustls::ClientConfig>) -> Self {
        HttpsPolicies { https: Https::new(parts, tls), folder: None }
    }

    /// Policies are kept in this folder.
    #[must_use]
    pub fn keep_in(self, folder: StsFolder) -> Self {
        HttpsPolicies { folder: Some(Arc::new(folder)), ..self }
    }

    /// The port of policy hosts: 443, unless it is a test.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.https.port = port;
        self
    }

    /// Connects to every address, private ones and this host's own among them. For tests, and for networks in which policy hosts
    /// have such addresses: whoever can name a policy host can then make this host ask any machine in its reach.
    #[must_use]
    pub const fn any_address(mut self) -> Self {
        self.https.any_address = true;
        self
    }
}

impl PolicyFetch for HttpsPolicies {
    fn fetch<'a>(&'a self, domain: &'a Name) -> BoxFuture<'a, Result<FetchedPolicy, FetchError>> {
        Box::pin(async move {
            let host = policy_host(domain).map_err(|_| FetchError::NoAddress)?;
            let size_max = Limits::default().body_size_max;
            let ask = Ask { host: &host, port: self.https.port, path: POLICY_PATH, content: None, size_max };
            self.https.ask(ask).await
        })
    }

    fn load<'a>(&'a self, domain: &'a Name) -> BoxFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move { self.folder.as_ref()?.load(domain).await })
    }

    fn save<'a>(&'a self, domain: &'a Name, text: String) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Some(folder) = &self.folder {
                folder.save(domain, text).await;
            }
        })
    }
}
