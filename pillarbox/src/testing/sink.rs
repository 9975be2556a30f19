//! What every message sink must do.

use pillarbox_core::address::{Address, ForwardPath, ReversePath};

use crate::parts::{Envelope, MessageSink, Outcome};

/// Checks a sink. `good` are two recipients that it takes. `delivered` tells, after a message was committed, the octets of
/// all messages that one of them has, in the order of their commits.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use pillarbox::parts::MemorySink;
/// use pillarbox::testing::sink_suite;
///
/// let sink = MemorySink::new();
/// let delivered = async |recipient: String| {
///     let has = |envelope: &pillarbox::parts::Envelope| envelope.recipients.iter().any(|to| to.to_string() == recipient);
///     sink.messages().into_iter().filter(|message| has(&message.envelope)).map(|message| message.octets).collect()
/// };
/// sink_suite(&sink, ["joe@example.org", "ann@example.org"], delivered).await;
/// # });
/// ```
///
/// # Panics
///
/// At the first promise that is not kept.
pub async fn sink_suite(sink: &dyn MessageSink, good: [&str; 2], delivered: impl AsyncFn(String) -> Vec<Vec<u8>>) {
    let address = |text: &str| Address::parse(text).expect("the suite got addresses").into_owned();
    let recipients = good.map(|text| ForwardPath::Address(address(text)));
    let envelope = |id: &str, count: usize| {
        let from = ReversePath::Address(address("sender@client.example"));
        let mut envelope = Envelope::new(id, from, recipients[..count].to_vec());
        envelope.trace = b"Received: from test\r\n".to_vec();
        envelope
    };
    let count = async |index: usize| delivered(recipients[index].to_string()).await.len();

    // Dropping leaves nothing behind.
    let mut dropped = sink.begin(envelope("dropped", 2)).await.expect("a message begins");
    dropped.write(b"Subject: dropped\r\n\r\n").await.expect("octets are taken");
    drop(dropped);
    assert_eq!((count(0).await, count(1).await), (0, 0), "a dropped message leaves nothing behind");

    // Octets come back as they were written, behind the trace.
    for (number, all_or_nothing) in [true, false].into_iter().enumerate() {
        let body = b"Subject: kept\r\n\r\n.dots\r\n..\r\nand \xff\r\n";
        let mut message = sink.begin(envelope("kept", 2)).await.expect("a message begins");
        for octets in body.chunks(3) {
            message.write(octets).await.expect("octets are taken");
        }
        let outcomes = message.commit(all_or_nothing).await;
        assert_eq!(outcomes, [Outcome::Delivered, Outcome::Delivered], "one outcome for each recipient");
        for to in &recipients {
            let messages = delivered(to.to_string()).await;
            assert_eq!(messages.len(), number + 1, "one commit, one copy for {to}");
            let text = &messages[number];
            let trace = text.windows(23).position(|octets| octets == b"Received: from test\r\nSu");
            assert!(trace.is_some(), "the trace stands in front of the message");
            assert!(text.ends_with(body), "the octets are those that were written");
        }
    }

    // An empty message is a message, and messages may be under way at the same time.
    let first = sink.begin(envelope("first", 1)).await.expect("a message begins");
    let mut second = sink.begin(envelope("second", 1)).await.expect("another one begins meanwhile");
    second.write(b"\r\n").await.expect("octets are taken");
    assert_eq!(second.commit(true).await, [Outcome::Delivered]);
    assert_eq!(first.commit(true).await, [Outcome::Delivered]);
    assert_eq!((count(0).await, count(1).await), (4, 2), "only the recipients of the envelope get it");
}
