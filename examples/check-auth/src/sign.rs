//! Signing and sealing.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use pillarbox::crypto::RingCrypto;
use pillarbox::mailcore::dns::Name;
use pillarbox_auth::arc::Sealer;
use pillarbox_auth::dkim::{Canonicalization, DomainKey, SignOptions, Signer};

use crate::check::{self, CheckArgs};
use crate::{Trouble, date, keys, message};

#[derive(Args)]
pub struct SignArgs {
    /// The message, header and body; `-` reads the standard input. Lines may end with LF.
    message: PathBuf,
    /// The domain that signs.
    #[arg(long)]
    domain: Name,
    /// The selector of the key. For several keys, give it and --key as often as there are keys: the first to the first.
    #[arg(long, required = true)]
    selector: Vec<Name>,
    /// The private key, in PEM.
    #[arg(long, required = true, value_name = "FILE")]
    key: Vec<PathBuf>,
    #[command(flatten)]
    forms: Forms,
    /// What time it is: seconds since 1970, or a date as in 2026-01-31T23:59:59Z. The clock of the system by default.
    #[arg(long, value_name = "TIME", value_parser = date::parse)]
    now: Option<u64>,
    /// Seconds until the signature expires.
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u64>,
}

#[derive(Args)]
pub struct SealArgs {
    #[command(flatten)]
    check: CheckArgs,
    /// The domain that seals.
    #[arg(long)]
    domain: Name,
    /// The selector of the key.
    #[arg(long)]
    selector: Name,
    /// The private key, in PEM.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    forms: Forms,
}

#[derive(Args)]
struct Forms {
    /// The form of the header that is signed.
    #[arg(long, value_enum, default_value_t = Form::Relaxed)]
    header_form: Form,
    /// The form of the body that is signed.
    #[arg(long, value_enum, default_value_t = Form::Relaxed)]
    body_form: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Simple,
    Relaxed,
}

impl From<Form> for Canonicalization {
    fn from(form: Form) -> Self {
        match form {
            Form::Simple => Canonicalization::Simple,
            Form::Relaxed => Canonicalization::Relaxed,
        }
    }
}

impl Forms {
    fn options(&self) -> SignOptions {
        let mut options = SignOptions::default();
        (options.header, options.body) = (self.header_form.into(), self.body_form.into());
        options
    }
}

/// Writes the message with a signature for each key on top.
pub fn sign(args: &SignArgs) -> Result<(), Trouble> {
    if args.selector.len() != args.key.len() {
        return Err(format!("{} selectors for {} keys", args.selector.len(), args.key.len()));
    }
    let keys = args.selector.iter().zip(&args.key);
    let keys = keys.map(|(selector, key)| Ok(DomainKey::new(args.domain.clone(), selector.clone(), keys::read(key)?)));
    let keys = keys.collect::<Result<Vec<_>, Trouble>>()?;
    let mut options = args.forms.options();
    options.lifetime = args.lifetime;
    let mut signer = Signer::new(Arc::new(RingCrypto), keys, options, args.now.unwrap_or_else(date::now));
    let kept = message::open(&args.message)?.keep(|piece| signer.write(piece))?;
    let fields = signer.finish().map_err(|error| error.to_string())?;
    message::print_with(&fields, kept)
}

/// Checks the message, and writes it with a set on top that tells the result.
pub fn seal(args: &SealArgs) -> Result<(), Trouble> {
    let key = DomainKey::new(args.domain.clone(), args.selector.clone(), keys::read(&args.key)?);
    let now = args.check.now.unwrap_or_else(date::now);
    let mut sealer = Sealer::new(Arc::new(RingCrypto), key, args.forms.options(), now);
    let mut inbound = check::begin(&args.check);
    let kept = message::open(&args.check.message)?.keep(|piece| {
        inbound.write(piece);
        sealer.write(piece);
    })?;
    let verdicts = check::conclude(&args.check, inbound)?;
    // What belongs to the name of the field comes before its first line.
    let results = verdicts.authentication_results().to_payload("ARC-Authentication-Results: i=50;".len());
    let fields = sealer.finish(verdicts.arc.result, &results).map_err(|error| error.to_string())?;
    message::print_with(&fields, kept)
}
