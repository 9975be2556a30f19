use flate2::FlushCompress;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// What another compressor makes of this.
fn deflated(octets: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut packed = Vec::with_capacity(octets.len() + 1024);
    let done = Compress::new(Compression::best(), false).compress_vec(octets, &mut packed, flush).unwrap();
    assert!(packed.len() < packed.capacity() && done != Status::BufError);
    packed
}

/// All that comes out, read in pieces; and how it ended.
fn unpacked(packed: &[u8], pieces: usize, room: usize) -> (Vec<u8>, io::Result<Unpacked>) {
    let (mut received, mut all) = (Received::new(Vec::new()), Vec::new());
    let mut room = vec![0; room];
    for piece in packed.chunks(pieces) {
        received.take(piece);
        loop {
            match received.unpack(&mut room) {
                Ok(Unpacked::Octets(octets)) => all.extend_from_slice(&room[..octets]),
                Ok(Unpacked::NeedsMore) => break,
                ended => return (all, ended),
            }
        }
    }
    (all, Ok(Unpacked::NeedsMore))
}

/// What a session sends, one step after the other.
fn packed(steps: &[Vec<u8>]) -> Vec<u8> {
    let mut sent = Sent::default();
    steps.iter().flat_map(|step| step.chunks(PACK_MAX)).flat_map(|step| sent.pack(step, <[u8]>::to_vec)).collect()
}

#[test]
fn each_step_can_be_read_at_once() {
    let (mut sent, mut received) = (Sent::default(), Received::new(Vec::new()));
    let mut room = vec![0; 200_000];
    for step in [&b"* OK hi\r\n"[..], b"", b"x", &[b'y'; PACK_MAX], b"* OK hi\r\n"] {
        if step.is_empty() {
            continue;
        }
        received.take(&sent.pack(step, <[u8]>::to_vec));
        assert_eq!(received.unpack(&mut room).unwrap(), Unpacked::Octets(step.len()));
        assert_eq!(&room[..step.len()], step);
        assert_eq!(received.unpack(&mut room).unwrap(), Unpacked::NeedsMore);
    }
}

#[test]
fn what_was_sent_before_makes_it_short() {
    let answer = |number: u32| {
        format!(
            "* {number} FETCH (UID {number} FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\nA{number} OK Fetched\r\n"
        )
    };
    let steps: Vec<Vec<u8>> = (1..200).map(|number| answer(number).into_bytes()).collect();
    let all = steps.concat().len();
    let alone: usize = steps.iter().map(|step| packed(std::slice::from_ref(step)).len()).sum();
    let together = packed(&steps).len();
    assert!(together * 2 < all && together * 3 < alone, "{all} {alone} {together}");
}

#[test]
fn a_peer_that_ends_its_stream_has_no_more_to_say() {
    let mut packed = deflated(b"a NOOP\r\n", FlushCompress::Finish);
    packed.extend_from_slice(&deflated(b"b NOOP\r\n", FlushCompress::Sync));
    let (octets, ended) = unpacked(&packed, 7, 100);
    assert_eq!((&octets[..], ended.unwrap()), (&b"a NOOP\r\n"[..], Unpacked::End));
}

#[test]
fn what_is_no_stream_is_an_error_and_stays_one() {
    let mut packed = deflated(b"a NOOP\r\n", FlushCompress::Sync);
    packed.extend_from_slice(b"\xff\xff\xff\xff");
    for pieces in [1, 3, 100] {
        let (octets, ended) = unpacked(&packed, pieces, 100);
        assert_eq!((&octets[..], ended.unwrap_err().kind()), (&b"a NOOP\r\n"[..], io::ErrorKind::InvalidData));
    }
    let mut received = Received::new(packed);
    let mut room = [0; 100];
    assert_eq!(received.unpack(&mut room).unwrap(), Unpacked::Octets(8));
    assert!(received.unpack(&mut room).is_err());
    received.take(&deflated(b"b NOOP\r\n", FlushCompress::Sync));
    assert!(received.unpack(&mut room).is_err(), "nothing is read behind it");
}

#[test]
fn more_than_the_ratio_is_an_error() {
    // A third of a GiB out of a third of a MiB.
    let blanks = vec![b' '; 1 << 20];
    let mut compress = Compress::new(Compression::best(), false);
    let mut received = Received::new(Vec::new());
    let mut room = vec![0; 32 * 1024];
    let (mut given, mut taken) = (0_u64, 0_u64);
    let error = 'all: loop {
        let mut packed = Vec::with_capacity(64 * 1024);
        compress.compress_vec(&blanks, &mut packed, FlushCompress::Sync).unwrap();
        taken += packed.len() as u64;
        received.take(&packed);
        loop {
            match received.unpack(&mut room) {
                Ok(Unpacked::Octets(octets)) => given += octets as u64,
                Ok(Unpacked::NeedsMore) => break,
                Ok(Unpacked::End) => unreachable!(),
                Err(error) => break 'all error,
            }
            assert!(given <= FREE + RATIO_MAX * taken, "{given} of {taken}");
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(given >= FREE, "{given}: a message of so many blanks is let in");
}

#[test]
fn blocks_without_octets_are_read_and_give_none() {
    let empty = b"\x00\x00\x00\xff\xff".repeat(100_000);
    let (octets, ended) = unpacked(&empty, READ, 100);
    assert!(octets.is_empty());
    assert_eq!(ended.unwrap(), Unpacked::NeedsMore);
}

#[tokio::test]
async fn a_connection_in_pieces() {
    let (near, far) = tokio::io::duplex(5);
    let mut near = Deflated::new(Box::new(near), Vec::new());
    let mut far = Deflated::new(Box::new(far), Vec::new());
    let message: Vec<u8> = (0..100_000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
    let write = async {
        near.write_all(&message).await.unwrap();
        near.shutdown().await.unwrap();
    };
    let mut read = Vec::new();
    let (_, done) = tokio::join!(write, far.read_to_end(&mut read));
    assert_eq!((done.unwrap(), read == message), (message.len(), true));
}

#[tokio::test]
async fn nothing_is_written_behind_an_error() {
    let (near, mut far) = tokio::io::duplex(100);
    let mut near = Deflated::new(Box::new(near), b"\xff\xff".to_vec());
    assert!(near.read_u8().await.is_err());
    assert!(near.write_all(b"* BYE\r\n").await.is_err());
    drop(near);
    assert_eq!(far.read(&mut [0; 10]).await.unwrap(), 0);
}

fn steps() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let words = prop::sample::select(vec!["* 1 FETCH (FLAGS ())\r\n", "a", "\0", "OK done\r\n", "0123456789"]);
    let text = prop::collection::vec(words, 1..2000).prop_map(|words| words.concat().into_bytes());
    prop::collection::vec(prop_oneof![text, prop::collection::vec(any::<u8>(), 1..20_000)], 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_packed_is_unpacked(steps in steps(), pieces in 1..5000_usize, room in 1..40_000_usize) {
        let (octets, ended) = unpacked(&packed(&steps), pieces, room);
        prop_assert_eq!(ended.unwrap(), Unpacked::NeedsMore);
        prop_assert!(octets == steps.concat());
    }

    /// However they are cut, and into however little room they go.
    #[test]
    fn any_octets(mut octets in prop::collection::vec(any::<u8>(), 0..3000), real in any::<bool>(), at in any::<prop::sample::Index>()) {
        if real {
            // A stream that is wrong somewhere.
            let random = octets.pop().unwrap_or_default();
            octets = deflated(&octets.repeat(3), FlushCompress::Sync);
            let len = octets.len();
            octets[at.index(len)] ^= random;
        }
        let (all, ended) = unpacked(&octets, usize::MAX, 1 << 20);
        for (pieces, room) in [(1, 1 << 20), (7, 3), (1000, 100)] {
            let (same, end) = unpacked(&octets, pieces, room);
            // What is read in the same piece as an error may be lost with it.
            let len = all.len().min(same.len());
            prop_assert!(all[..len] == same[..len] && (ended.is_err() || all.len() == same.len()));
            prop_assert_eq!(ended.as_ref().map_err(io::Error::kind), end.as_ref().map_err(io::Error::kind));
        }
    }
}
