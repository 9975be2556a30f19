//! The server's side of SCRAM.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::super::{Credentials, Progress, SaslError};
use super::message::{self, ClientFirst, Flag};
use super::{EXPORTER, ScramAnswer, prepare, xor};
use crate::Secret;
use crate::crypto::HashAlgorithm;

#[derive(Clone)]
pub(in super::super) struct Server {
    pub(in super::super) hash: HashAlgorithm,
    /// The mechanism is a PLUS.
    pub(in super::super) plus: bool,
    /// The channel, if a PLUS is on offer.
    pub(in super::super) exporter: Option<[u8; 32]>,
    pub(in super::super) stage: Stage,
}

#[derive(Clone)]
pub(in super::super) enum Stage {
    First,
    /// The keys are asked for.
    Keys(Box<Claim>),
    Final(Box<Claim>, Box<ScramAnswer>),
    /// The proof is good, and the client was told that we know the keys.
    Proven(Box<Claim>),
}

/// What the first message said, and what the proof is made over.
#[derive(Clone)]
pub(in super::super) struct Claim {
    authorization_id: String,
    user: String,
    /// What `c=` must be.
    channel: Secret<Vec<u8>>,
    nonce: String,
    /// `client-first-message-bare`, and later `"," server-first-message` behind it.
    messages: String,
}

// The messages hold the channel's exporter, and together with a proof all that guessing the password takes.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("hash", &self.hash).field("plus", &self.plus).finish_non_exhaustive()
    }
}

impl Server {
    /// What comes of a message; a stage, if the exchange goes on.
    pub(in super::super) fn respond(
        &self,
        stage: Stage,
        message: &[u8],
    ) -> Result<(Progress, Option<Stage>), SaslError> {
        match stage {
            Stage::First => {
                let claim = self.claim(&message::client_first(message)?)?;
                let needs = Progress::NeedsKeys { user: claim.user.clone(), hash: self.hash };
                Ok((needs, Some(Stage::Keys(Box::new(claim)))))
            }
            Stage::Keys(_) => Err(SaslError::OutOfOrder),
            Stage::Final(claim, answer) => prove(claim, &answer, message),
            // RFC 5802 §5: the client has nothing more to say.
            Stage::Proven(claim) if message.is_empty() => {
                let Claim { authorization_id, user, .. } = *claim;
                let credentials = Credentials::Proven { authorization_id, authentication_id: user };
                Ok((Progress::Credentials(credentials), None))
            }
            Stage::Proven(_) => Err(SaslError::Malformed),
        }
    }

    /// Goes on with the keys that were asked for.
    pub(in super::super) fn keys(
        &self,
        stage: Stage,
        answer: ScramAnswer,
    ) -> Result<(Progress, Option<Stage>), SaslError> {
        let Stage::Keys(mut claim) = stage else { return Err(SaslError::OutOfOrder) };
        if answer.keys.hash != self.hash {
            return Err(SaslError::Unsupported);
        }
        claim.nonce.push_str(&answer.nonce);
        let (salt, iterations) = (message::encode(&answer.keys.salt), answer.keys.iterations);
        let server_first = alloc::format!("r={},s={salt},i={iterations}", claim.nonce);
        claim.messages.push(',');
        claim.messages.push_str(&server_first);
        Ok((Progress::Challenge(server_first.into_bytes()), Some(Stage::Final(claim, Box::new(answer)))))
    }

    fn claim(&self, first: &ClientFirst<'_>) -> Result<Claim, SaslError> {
        let mut channel = Vec::from(first.header);
        match (first.flag, self.plus, &self.exporter) {
            (Flag::Bound(EXPORTER), true, Some(exporter)) => channel.extend_from_slice(exporter),
            (Flag::None, false, _) => {}
            // RFC 5802 §6: with a PLUS on offer somebody took it out of what the client saw.
            (Flag::NotOffered, false, None) => {}
            _ => return Err(SaslError::ChannelBinding),
        }
        Ok(Claim {
            authorization_id: first.authorization_id.clone(),
            user: prepare(&first.user)?.into_owned(),
            channel: Secret::new(channel),
            nonce: first.nonce.into(),
            messages: first.bare.into(),
        })
    }
}

/// RFC 5802 §3: whether the proof is one of the keys.
fn prove(mut claim: Box<Claim>, answer: &ScramAnswer, message: &[u8]) -> Result<(Progress, Option<Stage>), SaslError> {
    let last = message::client_final(message)?;
    claim.messages.push(',');
    claim.messages.push_str(last.without_proof);
    let (keys, crypto) = (&answer.keys, &*answer.crypto);
    let signature = crypto.hmac(keys.hash, keys.stored_key.expose(), claim.messages.as_bytes())?;
    let client_key = xor(&last.proof, &signature);
    let proven = keys.stored_key.same_as(&crypto.digest(keys.hash, &client_key)?);
    // All of it is looked at whatever is wrong, so that the time tells nothing.
    let good = proven & (last.proof.len() == keys.hash.len()) & !keys.is_decoy;
    if !good || last.nonce != claim.nonce || !claim.channel.same_as(&last.channel) {
        return Ok((Progress::Refused { authentication_id: claim.user }, None));
    }
    let signature = crypto.hmac(keys.hash, keys.server_key.expose(), claim.messages.as_bytes())?;
    let server_final = alloc::format!("v={}", message::encode(&signature));
    Ok((Progress::Challenge(server_final.into_bytes()), Some(Stage::Proven(claim))))
}
