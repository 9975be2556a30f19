//! Making RSA keys, which *ring* does not. The crate `rsa` computes in time that depends on the key, so nothing is ever
//! signed with it.

use core::convert::Infallible;

use pillarbox_core::crypto::PrivateKeyDer;
use pillarbox_core::{Random, Secret};
use rsa::PrivateKey;
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::rand_core::{TryCryptoRng, TryRng};

/// RFC 8301 §3.2: what signers should use; a longer key has a record that not every resolver brings.
const BITS: usize = 2048;

/// Makes an RSA key of 2048 bits: about a tenth of a second of work. The randomness must be fit for keys: that of the
/// system.
///
/// ```
/// use pillarbox_auth::RingCrypto;
/// use pillarbox_auth::dkim::{KeyRecord, generate_rsa};
/// use pillarbox_core::crypto::Crypto;
/// # use pillarbox_core::{Random, SeededRandom};
/// # // In a program: pillarbox::crypto::SystemRandom.
/// # let mut random = SeededRandom::new(1);
///
/// let key = generate_rsa(&mut random).expect("it is made");
/// let key = RingCrypto.load_key(&key)?;
/// let (selector, domain) = ("sel".parse()?, "example.org".parse()?);
/// println!("{}", KeyRecord::zone_line(&selector, &domain, key.public_key()).unwrap());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `None` if no key comes of the randomness, which happens if it is not random.
pub fn generate_rsa(random: &mut dyn Random) -> Option<PrivateKeyDer> {
    let key = PrivateKey::new(&mut Source(random), BITS).ok()?;
    let der = key.to_pkcs8_der().ok()?;
    Some(PrivateKeyDer::Pkcs8(Secret::new(der.as_bytes().to_vec())))
}

/// Our source of randomness under the name that the crate asks by.
struct Source<'r>(&'r mut dyn Random);

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut octets = [0; 4];
        self.0.fill(&mut octets);
        Ok(u32::from_le_bytes(octets))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(octets);
        Ok(())
    }
}

/// Whether it is random is for the caller to know.
impl TryCryptoRng for Source<'_> {}
