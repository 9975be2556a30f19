//! Keys: made, and read from their files.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use pillarbox::crypto::{RingCrypto, SystemRandom};
use pillarbox::mailcore::crypto::{Crypto, SigningKey};
use pillarbox::mailcore::dns::Name;
use pillarbox_auth::dkim::{KeyRecord, generate_ed25519, generate_rsa, read_private_key, write_private_key};

use crate::{Trouble, message};

#[derive(Args)]
pub struct KeygenArgs {
    /// The kind of key. Everybody verifies signatures of RSA; those of Ed25519 are best put beside them.
    #[arg(default_value = "rsa")]
    kind: Kind,
    /// Writes the private key to this file, which must not exist and which nobody else may read.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The domain that will sign: makes the record a line for a zone file.
    #[arg(long, requires = "selector")]
    domain: Option<Name>,
    /// The selector of the key.
    #[arg(long, requires = "domain")]
    selector: Option<Name>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Rsa,
    Ed25519,
}

/// Makes a key and shows it.
pub fn generate(args: &KeygenArgs) -> Result<(), Trouble> {
    let mut random = SystemRandom::default();
    let key = match args.kind {
        Kind::Rsa => generate_rsa(&mut random).ok_or("no key came of it")?,
        Kind::Ed25519 => generate_ed25519(&mut random),
    };
    let pem = write_private_key(&key).ok_or("the key has no form as a file")?;
    let key = RingCrypto.load_key(&key).map_err(|error| error.to_string())?;
    let record = match (&args.selector, &args.domain) {
        (Some(selector), Some(domain)) => KeyRecord::zone_line(selector, domain, key.public_key()),
        _ => KeyRecord::text(key.public_key()),
    };
    let record = record.ok_or("the key has no record")?;
    match &args.out {
        Some(path) => {
            let written = create_private(path).and_then(|mut file| {
                file.write_all(pem.expose().as_bytes())?;
                file.sync_all()
            });
            written.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        None => message::print(pem.expose().as_bytes())?,
    }
    message::print(format!("{record}\n").as_bytes())
}

fn create_private(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Reads a private key from a file that not everybody may use. A group may: that is how a key is shared with a server.
pub fn read(path: &Path) -> Result<Arc<dyn SigningKey>, Trouble> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut file = fs::File::open(path).map_err(|error| wrong(&error))?;
    #[cfg(unix)]
    {
        let permissions = file.metadata().map_err(|error| wrong(&error))?.permissions();
        let mode = std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777;
        if mode & 0o007 != 0 {
            let file = path.display();
            return Err(wrong(&format!("everybody may use the key (mode {mode:04o}); mend it with: chmod o= {file}")));
        }
    }
    let mut pem = Vec::new();
    file.read_to_end(&mut pem).map_err(|error| wrong(&error))?;
    let key = read_private_key(&pem).map_err(|error| wrong(&error))?;
    Ok(RingCrypto.load_key(&key).map_err(|error| wrong(&error))?.into())
}
