//! What IMAP shows of a message: any octets can be shown, what is shown can be read, and parts lie where they can lie.
#![no_main]

#[path = "../../imap-proto/tests/message_examined/mod.rs"]
mod message_examined;

use libfuzzer_sys::fuzz_target;
use pillarbox_imap::message::{Decoder, Encoding, addresses, decode_words, parse_date};

fuzz_target!(|data: &[u8]| {
    message_examined::examine(data);
    let _ = addresses(data, 100);
    let _ = parse_date(data);
    let mut text = String::new();
    decode_words(data, &mut text);
    // A replacement character has three octets, and no charset gives more than three for one.
    assert!(text.len() <= 3 * data.len() + 3);

    let (whole, pieces) = pillarbox_fuzz::cut(data);
    let pieces: Vec<&[u8]> = pieces.collect();
    for encoding in [Encoding::Identity, Encoding::Base64, Encoding::QuotedPrintable, Encoding::Unknown] {
        let decoded = |pieces: &[&[u8]]| {
            let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
            pieces.iter().for_each(|piece| decoder.decode(piece, &mut out));
            decoder.finish(&mut out);
            (out, decoder.is_broken())
        };
        assert_eq!(decoded(&pieces), decoded(&[&pieces.concat()]));
        assert!(decoded(&[whole]).0.len() <= whole.len());
    }
});
