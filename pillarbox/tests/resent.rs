//! A message that goes from server to server, by DATA and by BDAT in turns, stays what it was.
#![cfg(feature = "tokio")]

mod support;

use std::sync::Arc;

use pillarbox::parts::{AllowList, MemorySink, Parts};
use pillarbox::smtp::{ClientConfig, Envelope, ServerConfig, SmtpClient, SmtpServer};
use pillarbox_auth::RingCrypto;
use pillarbox_auth::dkim::{DkimResult, Policy, Verifier};
use pillarbox_core::address::Address;
use pillarbox_core::dns::{self, FixedZone, Record};
use support::start;

/// RFC 8463 §A.3
const SIGNED: &[u8] = b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; \
    i=@football.example.com;\r\n q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n subject : date : message-id : \
    from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
    b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n\
    From: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\n\
    Subject: Is dinner ready?\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
    Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\n\
    Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

/// What DATA has to stuff, and what could be taken for its end.
const DOTS: &[u8] = b"Subject: x\r\n\r\n.\r\n..\r\n...x\r\n\r\n.x\r\nMAIL FROM:<>\r\n.\r\n";

/// What a server makes of a message that comes by DATA or by BDAT: its octets without the fields that it put in front.
async fn hop(message: &[u8], chunking: bool) -> Vec<u8> {
    let sink = MemorySink::new();
    let parts = Parts {
        policy: Arc::new(AllowList::new(["you@localhost"])),
        sink: Arc::new(sink.clone()),
        ..Parts::in_memory()
    };
    let mut offers = ServerConfig::new("mx.localhost");
    offers.chunking = chunking;
    let running = start(SmtpServer::new(offers, parts)).await;
    let mut config = ClientConfig::new("c.example").unwrap();
    config.chunking = true;
    let mut client = SmtpClient::connect(running.address, config, None).await.unwrap();
    let address = |text: &'static str| Address::parse(text).unwrap();
    let envelope = Envelope::new(address("joe@c.example").into(), [address("you@localhost")]);
    client.send(envelope, message).await.unwrap();
    client.quit().await;
    running.stop().await;
    let [message] = &sink.messages()[..] else { panic!("one message") };
    message.octets.strip_prefix(&message.envelope.trace[..]).unwrap_or(&message.octets).to_vec()
}

fn is_signed(message: &[u8]) -> bool {
    let zone = FixedZone::new().with(
        "brisbane._domainkey.football.example.com",
        Record::txt("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
    );
    let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), 1_528_637_910);
    verifier.write(message);
    verifier.finish();
    dns::run(&mut verifier, &zone).signatures[0].result == DkimResult::Pass
}

#[tokio::test]
async fn by_data_and_by_bdat_in_turns() {
    for message in [SIGNED, DOTS] {
        let mut now = message.to_vec();
        for (number, chunking) in [false, true, false, true, true, false].into_iter().enumerate() {
            now = hop(&now, chunking).await;
            assert!(now == message, "hop {number}: {}", now.escape_ascii());
        }
    }
    assert!(is_signed(&hop(&hop(SIGNED, false).await, true).await));
    assert!(!is_signed(&SIGNED[..SIGNED.len() - 6]), "the signature is looked at");
}
