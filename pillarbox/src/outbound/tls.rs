//! TLS with other servers: which is needed, and how a host shows who it is.

use std::sync::Arc;

use pillarbox_auth::RingCrypto;
use pillarbox_auth::dane::{self, ChainMatch, Dane, Security};
use pillarbox_auth::mta_sts::{Mode, Policy};
use pillarbox_core::EnhancedCode;
use pillarbox_core::dns::Name;
use pillarbox_smtp::client::StartTls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::TlsMode;
use crate::smtp::ClientTls;

/// The least that a message needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Need {
    /// What the route and the domain say.
    Usual,
    /// Its author would rather have it arrive in the clear than not at all (RFC 8689 §3).
    Waived,
    /// TLS all the way (RFC 8689 §4).
    Required,
}

/// How a session with a host is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Plain,
    IfOffered,
    Encrypted,
    Verified,
    Implicit,
    Dane(Dane),
}

/// Why a host gets nothing.
pub(super) struct Unfit {
    pub(super) status: EnhancedCode,
    pub(super) why: &'static str,
    /// The domain's policy does not list the host.
    pub(super) is_not_listed: bool,
}

/// What is known of a host where the decision is made.
pub(super) struct Known<'a> {
    /// Its name, where a policy could list it.
    pub(super) host: Option<&'a Name>,
    pub(super) security: &'a Security,
    pub(super) policy: Option<&'a Policy>,
    /// Nobody can have put the host there who does not speak for the domain: its MX records are secure, or the host itself was
    /// set by hand.
    pub(super) is_certain: bool,
    pub(super) has_login: bool,
}

/// How a session is to be: what the route says, what the domain has published, and what the message needs, the strongest of it.
pub(super) fn wanted(mode: TlsMode, need: Need, known: &Known<'_>) -> Result<Wanted, Unfit> {
    let is_listed = |policy: &Policy| known.host.is_some_and(|host| policy.lists(host));
    let lists = |policy: &Policy| policy.mode != Mode::None && is_listed(policy);
    let mut wanted = match mode {
        TlsMode::Never => Wanted::Plain,
        TlsMode::IfOffered => Wanted::IfOffered,
        TlsMode::Encrypted => Wanted::Encrypted,
        TlsMode::Verified => Wanted::Verified,
        TlsMode::Implicit => Wanted::Implicit,
        // RFC 8689 §4.2.2: it is used where it works.
        TlsMode::Published if need == Need::Waived => Wanted::IfOffered,
        // RFC 8461 §2: where there is DANE, no policy of MTA-STS weakens it.
        TlsMode::Published => match (known.security, known.policy) {
            (Security::Dane(dane), _) => Wanted::Dane(dane.clone()),
            (Security::EncryptOnly, _) => Wanted::Encrypted,
            (_, Some(policy)) if policy.mode == Mode::Enforce && !is_listed(policy) => {
                let status = EnhancedCode::new(4, 7, 5);
                let why = "the MTA-STS policy of the domain does not list the host";
                return Err(Unfit { status, why, is_not_listed: true });
            }
            (_, Some(policy)) if policy.mode == Mode::Enforce => Wanted::Verified,
            _ => Wanted::IfOffered,
        },
    };
    if need == Need::Required {
        // RFC 8689 §4.2.1: the host has to be one that the domain vouches for, under TLS that shows it.
        if wanted == Wanted::Plain || !(known.is_certain || known.policy.is_some_and(lists)) {
            let status = EnhancedCode::new(5, 7, 30);
            let why = "REQUIRETLS: nothing vouches for the next server";
            return Err(Unfit { status, why, is_not_listed: false });
        }
        if matches!(wanted, Wanted::IfOffered | Wanted::Encrypted) {
            wanted = Wanted::Verified;
        }
    }
    // A password is told to nobody who has not shown who he is (RFC 4954 §9), and is meant for nobody whom only the DNS names.
    if known.has_login && !known.is_certain {
        return Err(Unfit {
            status: EnhancedCode::new(4, 7, 5),
            why: "a login is for a host that was set by its name, or whose MX record is validated",
            is_not_listed: false,
        });
    }
    if known.has_login && matches!(wanted, Wanted::IfOffered | Wanted::Encrypted) {
        wanted = Wanted::Verified;
    }
    Ok(wanted)
}

impl Wanted {
    /// Whether a message may go in clear text, once a handshake has failed.
    pub(super) fn allows_plain(&self) -> bool {
        matches!(self, Wanted::Plain | Wanted::IfOffered)
    }
}

/// The configurations of TLS, made from the caller's.
#[derive(Debug)]
pub(super) struct HostTls {
    verified: Option<Arc<ClientConfig>>,
    anyone: Option<Arc<ClientConfig>>,
}

impl HostTls {
    pub(super) fn new(verified: Option<Arc<ClientConfig>>) -> Self {
        let anyone = verified.as_deref().map(|config| {
            let provider = Arc::clone(config.crypto_provider());
            with_verifier(config, Arc::new(Verifier { provider, rule: Rule::Anyone }))
        });
        HostTls { verified, anyone }
    }

    /// What a session with `host` (its name or address) is told. Without a configuration there is no TLS, and where it is
    /// required nothing is sent.
    pub(super) fn session(&self, wanted: &Wanted, host: &str) -> (StartTls, Option<ClientTls>) {
        let name = || ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok();
        let by = |config: &Option<Arc<ClientConfig>>| Some(ClientTls::starttls(config.clone()?, name()?));
        match wanted {
            Wanted::Plain => (StartTls::Never, None),
            Wanted::IfOffered => (StartTls::IfOffered, by(&self.anyone)),
            Wanted::Encrypted => (StartTls::Required, by(&self.anyone)),
            Wanted::Verified => (StartTls::Required, by(&self.verified)),
            Wanted::Implicit => {
                let tls = self.verified.clone().zip(name()).map(|(config, name)| ClientTls::implicit(config, name));
                (StartTls::Required, tls)
            }
            Wanted::Dane(dane) => (StartTls::Required, self.dane(dane)),
        }
    }

    fn dane(&self, dane: &Dane) -> Option<ClientTls> {
        let config = self.verified.as_deref()?;
        let base = ServerName::try_from(dane.names.first()?.as_str().to_owned()).ok()?;
        let provider = Arc::clone(config.crypto_provider());
        let verifier = Verifier { provider, rule: Rule::Dane(dane.clone()) };
        Some(ClientTls::starttls(with_verifier(config, Arc::new(verifier)), base))
    }
}

/// The configuration with another rule. It resumes nothing: what one rule has let through must not pass for another.
fn with_verifier(config: &ClientConfig, verifier: Arc<Verifier>) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.resumption = Resumption::disabled();
    config.dangerous().set_certificate_verifier(verifier);
    Arc::new(config)
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    rule: Rule,
}

#[derive(Debug)]
enum Rule {
    /// Encryption without authentication: better than none, and no promise.
    Anyone,
    /// The records of the host (RFC 7672).
    Dane(Dane),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Rule::Dane(dane) = &self.rule else { return Ok(ServerCertVerified::assertion()) };
        let chain: Vec<&[u8]> = std::iter::once(end_entity).chain(intermediates).map(|it| &**it).collect();
        let anchors = match dane::judge_chain(&dane.records, &chain, &RingCrypto) {
            ChainMatch::EndEntity => return Ok(ServerCertVerified::assertion()),
            ChainMatch::TrustAnchors(anchors) => anchors,
            _ => return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(anchors.into_iter().map(|anchor| CertificateDer::from(anchor.certificate)));
        let unfit = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider));
        let verifier = verifier.build().map_err(|_| unfit())?;
        let mut last = unfit();
        // RFC 7672 §3.2.2
        for name in dane.names.iter().filter_map(|name| ServerName::try_from(name.as_str()).ok()) {
            match verifier.verify_server_cert(end_entity, intermediates, &name, ocsp_response, now) {
                Ok(verified) => return Ok(verified),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-11: a certificate for a name that stands in a forged MX record shows nothing.
    #[test]
    fn a_login_is_for_no_host_that_the_dns_alone_names() {
        let security = Security::Opportunistic;
        let known = |is_certain| Known { host: None, security: &security, policy: None, is_certain, has_login: true };
        for mode in [TlsMode::Published, TlsMode::IfOffered, TlsMode::Encrypted, TlsMode::Verified] {
            let wanted =
                |is_certain| super::wanted(mode, Need::Usual, &known(is_certain)).map_err(|unfit| unfit.status);
            assert_eq!(wanted(true), Ok(Wanted::Verified), "{mode:?}");
            assert_eq!(wanted(false), Err(EnhancedCode::new(4, 7, 5)), "{mode:?}");
        }
    }
}
