//! Sends a file to recipients over one connection, and prints what became of it for each of them.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use pillarbox::mailcore::address::{Address, ReversePath};
use pillarbox::mailcore::{header, sasl::Mechanism};
use pillarbox::smtp::{
    ClientConfig, ClientTls, Credentials, Envelope, EnvelopeId, Login, Notify, Protocol, SmtpClient, StartTls,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

/// Sends a message, without its Bcc fields, and prints for each recipient what the server said. 8BITMIME and SMTPUTF8 are
/// asked for where the message or an address needs them.
#[derive(Parser)]
struct Args {
    /// `host:port`, or with --lmtp the path of a socket
    server: String,
    /// The message, header and body
    file: PathBuf,
    /// To whom, whatever the header says
    #[arg(required = true)]
    recipients: Vec<String>,
    /// Where notices go; nowhere if it is not given
    #[arg(long)]
    from: Option<String>,
    /// What we are called
    #[arg(long, default_value = "localhost")]
    hello: String,
    /// Speaks LMTP
    #[arg(long)]
    lmtp: bool,
    /// Sends nothing without STARTTLS
    #[arg(long, conflicts_with = "tls")]
    starttls: bool,
    /// Begins with TLS
    #[arg(long)]
    tls: bool,
    /// The certificates that are trusted, in PEM
    #[arg(long, default_value = "/etc/ssl/certs/ca-certificates.crt")]
    ca: PathBuf,
    /// Logs in; the password is read from SMTP_PASSWORD in the environment, where no other user sees it
    #[arg(long, value_name = "USER")]
    auth: Option<String>,
    /// Logs in by this mechanism alone, such as SCRAM-SHA-256-PLUS; else by the best one on offer
    #[arg(long, requires = "auth", value_parser = |name: &str| Mechanism::parse(name).ok_or("no mechanism"))]
    mechanism: Option<Mechanism>,
    /// Sends by BDAT where the server offers CHUNKING
    #[arg(long)]
    bdat: bool,
    /// When to be told: never, or any of success, failure and delay with commas
    #[arg(long, value_name = "WHEN")]
    notify: Option<Notify>,
    /// What notices call the message
    #[arg(long, value_name = "ID", value_parser = EnvelopeId::new)]
    envid: Option<EnvelopeId>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    send(&Args::parse()).await.unwrap_or_else(|error| {
        eprintln!("smtp-send: {error}");
        ExitCode::FAILURE
    })
}

/// Fails unless everybody got it.
async fn send(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut config = ClientConfig::new(&args.hello)?;
    config.protocol = if args.lmtp { Protocol::Lmtp } else { Protocol::Smtp };
    config.starttls = if args.starttls { StartTls::Required } else { StartTls::IfOffered };
    config.chunking = args.bdat;
    if let Some(user) = &args.auth {
        // An error may show the value.
        let password = std::env::var("SMTP_PASSWORD").map_err(|_| "SMTP_PASSWORD: it is not set, or not UTF-8")?;
        let mut login = Login::new(Credentials::plain("", user, password));
        login.policy.mechanisms = args.mechanism.clone().map_or(login.policy.mechanisms, |only| vec![only]);
        config.login = Some(login);
    }
    let mut client = if args.lmtp && args.server.contains('/') {
        SmtpClient::connect_unix(&args.server, config).await?
    } else {
        let tls = if args.tls || args.starttls { Some(tls(args)?) } else { None };
        SmtpClient::connect(&*args.server, config, tls).await?
    };
    let message = tokio::fs::read(&args.file).await.map_err(|error| format!("{}: {error}", args.file.display()))?;
    let message = header::without(&message, "Bcc");
    let from = args.from.as_deref().map(Address::parse_utf8).transpose()?;
    let from = from.map_or(ReversePath::Null, |from| from.into_owned().into());
    let recipients = args.recipients.iter().map(|to| Address::parse_utf8(to).map(Address::into_owned));
    let mut envelope = Envelope::of_message(from, recipients.collect::<Result<Vec<_>, _>>()?, &message);
    envelope.envid.clone_from(&args.envid);
    envelope.recipients.iter_mut().for_each(|recipient| recipient.notify = args.notify);
    let outcomes = client.send(envelope, &message[..]).await?;
    for (to, outcome) in args.recipients.iter().zip(&outcomes) {
        println!("{to}: {outcome}");
    }
    client.quit().await;
    let everybody = outcomes.iter().all(|outcome| outcome.is_delivered());
    Ok(if everybody { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tls(args: &Args) -> Result<ClientTls, Box<dyn std::error::Error>> {
    let host = args.server.rsplit_once(':').map_or(&*args.server, |(host, _)| host).trim_matches(['[', ']']);
    let mut trusted = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(&args.ca);
    let certificates = certificates.map_err(|error| format!("{}: {error}", args.ca.display()))?;
    trusted.add_parsable_certificates(certificates.filter_map(Result::ok));
    let config = rustls::ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let make = if args.tls { ClientTls::implicit } else { ClientTls::starttls };
    Ok(make(Arc::new(config), ServerName::try_from(host.to_owned())?))
}
