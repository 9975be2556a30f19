//! Who sends reports by HTTPS.

use pillarbox_auth::mta_sts::FetchError;
use pillarbox_auth::tls_rpt::HttpsUrl;

use crate::parts::BoxFuture;

/// Who sends reports on TLS by HTTPS (RFC 8460 §5.4).
///
/// What [`post`](ReportPost::post) has to see to: a stranger has named the URL, so no address that is not
/// [public](pillarbox_auth::mta_sts::is_public) is connected to, and no redirect is followed. The certificate is checked for the name
/// of the host.
pub trait ReportPost: Send + Sync {
    /// Sends content by POST, and gives the status. It has arrived with 200 to 299.
    ///
    /// # Errors
    ///
    /// Why there was no answer.
    fn post<'a>(
        &'a self,
        url: &'a HttpsUrl,
        media_type: &'a str,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<u16, FetchError>>;
}

#[cfg(feature = "https")]
mod https {
    use std::net::IpAddr;
    use std::sync::Arc;

    use pillarbox_core::dns::Name;

    use super::{BoxFuture, FetchError, HttpsUrl, ReportPost};
    use crate::outbound::OutboundParts;
    use crate::outbound::https::{Ask, Https};

    /// Sends reports by HTTPS: the certificate is checked for the name of the host, no redirect is followed, no proxy is used, no
    /// address that is not public is connected to, nothing of the answer but its status is read, and it takes a minute at most. Made
    /// with the feature `https`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use pillarbox::outbound::{HttpsReports, OutboundParts};
    ///
    /// # let tls = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    /// let mut parts = OutboundParts::from_system();
    /// parts.report_post = Some(Arc::new(HttpsReports::new(&parts, Arc::new(tls))));
    /// ```
    #[derive(Clone)]
    pub struct HttpsReports(Https);

    impl HttpsReports {
        /// Reports to hosts that have certificates which `tls` trusts. Resolver, connections and clock are taken from `parts`.
        pub fn new(parts: &OutboundParts, tls: Arc<rustls::ClientConfig>) -> Self {
            HttpsReports(Https::new(parts, tls))
        }

        /// Connects to every address, private ones and this host's own among them. For tests, and for networks in which hosts that
        /// take reports have such addresses: whoever can name such a host can then make this one tell any machine in its reach.
        #[must_use]
        pub const fn any_address(mut self) -> Self {
            self.0.any_address = true;
            self
        }
    }

    impl ReportPost for HttpsReports {
        fn post<'a>(
            &'a self,
            url: &'a HttpsUrl,
            media_type: &'a str,
            content: Vec<u8>,
        ) -> BoxFuture<'a, Result<u16, FetchError>> {
            Box::pin(async move {
                let authority = url.authority();
                let (host, port) = match authority.rsplit_once(':') {
                    Some((host, port)) => (host, port.parse().map_err(|_| FetchError::NoAddress)?),
                    None => (authority, self.0.port),
                };
                // An address in place of a name has no business here: a certificate is for names.
                let is_address = host.parse::<IpAddr>().is_ok();
                let host = Name::parse(host).ok().filter(|_| !is_address).ok_or(FetchError::NoAddress)?;
                let rest = &url.as_str()["https://".len() + authority.len()..];
                let rest = rest.split('#').next().unwrap_or_default();
                let path = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
                let ask = Ask { host: &host, port, path: &path, content: Some((media_type, content)), size_max: 0 };
                Ok(self.0.ask(ask).await?.status)
            })
        }
    }
}

#[cfg(feature = "https")]
pub use https::HttpsReports;
