//! Sends a file to recipients over one connection, and prints what became of it for each of them.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use pillarbox::mailcore::address::{Address, ReversePath};
use pillarbox::smtp::{
    ClientConfig, ClientTls, Credentials, Envelope, Login, Protocol, RecipientOutcome, SmtpClient, StartTls,
};
use pillarbox::smtp_proto::client::BodyKind;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

/// Sends a message.
#[derive(Parser)]
struct Args {
    /// `host:port`, or with --lmtp the path of a socket.
    server: String,
    /// The message, header and body.
    file: PathBuf,
    /// To whom.
    #[arg(required = true)]
    recipients: Vec<String>,
    /// Where notices go; nowhere if it is not given.
    #[arg(long)]
    from: Option<String>,
    /// What we are called.
    #[arg(long, default_value = "localhost")]
    hello: String,
    /// Speaks LMTP.
    #[arg(long)]
    lmtp: bool,
    /// Sends nothing without STARTTLS.
    #[arg(long, conflicts_with = "tls")]
    starttls: bool,
    /// Begins with TLS.
    #[arg(long)]
    tls: bool,
    /// The certificates that are trusted, in PEM.
    #[arg(long, default_value = "/etc/ssl/certs/ca-certificates.crt")]
    ca: PathBuf,
    /// Logs in; the password is read from SMTP_PASSWORD in the environment, where no other user sees it.
    #[arg(long, value_name = "USER")]
    auth: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match send(&Args::parse()).await {
        Ok(everybody) => ExitCode::from(u8::from(!everybody)),
        Err(error) => {
            eprintln!("smtp-send: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everybody got it.
async fn send(args: &Args) -> Result<bool, Box<dyn std::error::Error>> {
    let mut config = ClientConfig::new(&args.hello)?;
    config.protocol = if args.lmtp { Protocol::Lmtp } else { Protocol::Smtp };
    if args.starttls {
        config.starttls = StartTls::Required;
    }
    if let Some(user) = &args.auth {
        let password = std::env::var("SMTP_PASSWORD").map_err(|error| format!("SMTP_PASSWORD: {error}"))?;
        config.login = Some(Login::new(Credentials::plain("", user, password)));
    }
    let mut client = if args.lmtp && args.server.contains('/') {
        SmtpClient::connect_unix(&args.server, config).await?
    } else {
        let tls = if args.tls || args.starttls { Some(tls(args)?) } else { None };
        SmtpClient::connect(&*args.server, config, tls).await?
    };

    let message = tokio::fs::read(&args.file).await.map_err(|error| format!("{}: {error}", args.file.display()))?;
    let from = match args.from.as_deref() {
        Some(from) => Address::parse_utf8(from)?.into_owned().into(),
        None => ReversePath::Null,
    };
    let recipients = args.recipients.iter().map(|to| Ok(Address::parse_utf8(to)?.into_owned()));
    let recipients = recipients.collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
    let mut envelope = Envelope::new(from, recipients);
    // The size on the wire, where every line ends in two octets (RFC 1870 §3).
    let line_ends =
        (0..message.len()).filter(|at| message[*at] == b'\n' && (*at == 0 || message[at - 1] != b'\r')).count();
    envelope.size = Some((message.len() + line_ends) as u64);
    if !message.is_ascii() {
        envelope.body = BodyKind::EightBitMime;
    }

    let outcomes = client.send(envelope, &message[..]).await?;
    for (to, outcome) in args.recipients.iter().zip(&outcomes) {
        match outcome {
            RecipientOutcome::Delivered(reply) => println!("{to}: delivered: {reply}"),
            RecipientOutcome::Refused(reply) => println!("{to}: refused: {reply}"),
            RecipientOutcome::Later(Some(reply)) => println!("{to}: later: {reply}"),
            RecipientOutcome::Impossible(lack) => println!("{to}: impossible: {}", lack.reply()),
            _ => println!("{to}: later: the connection was lost"),
        }
    }
    client.quit().await;
    Ok(outcomes.iter().all(|outcome| matches!(outcome, RecipientOutcome::Delivered(_))))
}

fn tls(args: &Args) -> Result<ClientTls, Box<dyn std::error::Error>> {
    let host = args.server.rsplit_once(':').map_or(&*args.server, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned())?;
    let mut trusted = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(&args.ca);
    let certificates = certificates.map_err(|error| format!("{}: {error}", args.ca.display()))?;
    trusted.add_parsable_certificates(certificates.filter_map(Result::ok));
    let config = rustls::ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let make = if args.tls { ClientTls::implicit } else { ClientTls::starttls };
    Ok(make(Arc::new(config), name))
}
