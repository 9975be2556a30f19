//! The SMTP and LMTP client against the server: any messages, any answers, over a link that cuts and breaks anywhere.
//! Nothing is called delivered that the server has not kept, nothing is kept twice or by half, and each message is settled
//! once.
#![no_main]

#[path = "../../smtp-proto/tests/pair_link/mod.rs"]
mod pair_link;

use libfuzzer_sys::fuzz_target;
use pair_link::{Fault, Message, Plan, Verdict};
use pillarbox_smtp::client::BodyKind;
use pillarbox_smtp::server::Protocol;

/// The choices that the input makes; 0 where it has ended.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn octet(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn number(&mut self) -> usize {
        usize::from(u16::from_le_bytes([self.octet(), self.octet()]))
    }

    fn flags(&mut self) -> impl FnMut() -> bool + use<> {
        let mut octet = self.octet();
        move || {
            let flag = octet & 1 == 1;
            octet >>= 1;
            flag
        }
    }

    fn verdict(&mut self) -> Verdict {
        match self.octet() % 8 {
            0 => Verdict::Refuse,
            1 => Verdict::Later,
            _ => Verdict::Accept,
        }
    }

    fn message(&mut self) -> Message {
        let length = self.number() % 2000;
        let (body, rest) = self.0.split_at(self.0.len().min(length));
        self.0 = rest;
        let mut flag = self.flags();
        let mut message = Message::text(body, 0);
        (message.utf8, message.dsn) = (flag(), flag());
        if flag() {
            message.kind = BodyKind::BinaryMime;
        }
        if flag() {
            message.early = Some((self.number() % 2000, self.verdict()));
        }
        for _ in 0..=self.octet() % 3 {
            message.recipients.push((self.verdict(), self.verdict()));
        }
        (message.mail, message.data, message.end) = (self.verdict(), self.verdict(), self.verdict());
        message
    }

    fn plan(&mut self) -> Plan {
        let mut flag = self.flags();
        let protocol = if flag() { Protocol::Lmtp } else { Protocol::Smtp };
        let mut plan = Plan::new(protocol, Vec::new());
        (plan.starttls, plan.login, plan.pipelining) = (flag(), flag(), flag());
        (plan.chunking, plan.bare) = (flag(), flag());
        plan.chunk_max = 500 + self.number() % 2000;
        plan.output_max = 1000 + self.number() % 3000;
        let fault = match self.octet() % 6 {
            0 => Fault::BreakToServer(self.number() % 6000),
            1 => Fault::BreakToClient(self.number() % 1500),
            2 => Fault::SilenceToServer(self.number() % 6000),
            3 => Fault::SilenceToClient(self.number() % 1500),
            _ => Fault::None,
        };
        let mut plan = plan.with(1 + self.number() % 3000, fault);
        for _ in 0..=self.octet() % 3 {
            plan.messages.push(self.message());
        }
        plan
    }
}

fuzz_target!(|data: &[u8]| {
    Choices(data).plan().check();
});
