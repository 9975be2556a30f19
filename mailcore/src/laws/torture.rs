//! Input that nobody would send, made from input that somebody does.

use std::fs;
use std::path::Path;

use super::{Broken, Options, check_bytes};
use crate::dialog::{Subject, parse};
use crate::{Random, SeededRandom};

/// No input grows beyond this, so that a test's time follows from the number of its iterations.
const INPUT_MAX: usize = 16 * 1024;

/// Checks [`check_bytes`] with `iterations` inputs: seeds, mutated (bytes flipped, lines swapped, repeated, dropped,
/// joined, pieces of other seeds put in) with the randomness of [`Options::seed`].
///
/// # Errors
///
/// The first law found [`Broken`]; the text holds the input.
pub fn torture<S: Subject>(
    mut subject: impl FnMut() -> S,
    seeds: &[Vec<u8>],
    iterations: usize,
    options: &Options,
) -> Result<(), Broken> {
    let mut random = SeededRandom::new(options.seed);
    for _ in 0..iterations {
        let input = mutated(seeds, &mut random);
        check_bytes(&mut subject, &input, options).map_err(|broken| {
            broken.with(&format!("torture with seed {}, input \"{}\"", options.seed, input.escape_ascii()))
        })?;
    }
    Ok(())
}

/// What the peer of the machine sends in the dialog files of a folder, one seed per file and connection.
///
/// # Panics
///
/// If a file cannot be read, or there is none.
pub fn seeds(folder: impl AsRef<Path>) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    crate::dialog::find_files(folder.as_ref(), &mut files);
    files.sort();
    let mut seeds = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let dialog = parse(&name, &text).unwrap_or_else(|failure| panic!("{failure}"));
        seeds.extend((1..=dialog.connections()).map(|connection| dialog.sent(connection).concat()));
    }
    assert!(!seeds.is_empty(), "no dialog in {}", folder.as_ref().display());
    seeds
}

fn mutated(seeds: &[Vec<u8>], random: &mut SeededRandom) -> Vec<u8> {
    let mut pick = |n: usize| random.below(n as u64) as usize;
    let empty = Vec::new();
    let seed = if seeds.is_empty() { &empty } else { &seeds[pick(seeds.len())] };
    let mut lines: Vec<Vec<u8>> = seed.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    // One in eight stays as it is, but for the joints that check_bytes makes.
    let mutations = if pick(8) == 0 { 0 } else { 1 + pick(6) };
    for _ in 0..mutations {
        let count = lines.len();
        match pick(10) {
            0 if count > 0 => drop(lines.remove(pick(count))),
            1 if count > 0 => {
                let line = lines[pick(count)].clone();
                lines.insert(pick(count + 1), line);
            }
            2 if count > 0 => {
                let (a, b) = (pick(count), pick(count));
                lines.swap(a, b);
            }
            3 if !seeds.is_empty() => {
                let other = &seeds[pick(seeds.len())];
                let from = pick(other.len() + 1);
                let to = from + pick(other.len() - from + 1);
                lines.insert(pick(count + 1), other[from..to].to_vec());
            }
            4 if count > 0 => {
                let line = &mut lines[pick(count)];
                let long = vec![b"a \"({<.\xff\0"[pick(9)]; 1 << pick(13)];
                let at = pick(line.len() + 1);
                line.splice(at..at, long);
            }
            5 if count > 0 => {
                let line = &mut lines[pick(count)];
                line.truncate(pick(line.len() + 1));
            }
            6 if count > 0 => {
                const PIECES: [&[u8]; 12] = [
                    b"\r",
                    b"\n",
                    b"\r\n",
                    b"\0",
                    b".\r\n",
                    b"\r\n.\r\n",
                    b"{5}\r\n",
                    b"{9999999999+}\r\n",
                    b"\"",
                    b"\\",
                    b" 18446744073709551616 ",
                    b"\xc3\x28",
                ];
                let line = &mut lines[pick(count)];
                let at = pick(line.len() + 1);
                line.splice(at..at, PIECES[pick(PIECES.len())].iter().copied());
            }
            _ if count > 0 => {
                let line = &mut lines[pick(count)];
                if !line.is_empty() {
                    let at = pick(line.len());
                    line[at] = pick(256) as u8;
                }
            }
            _ => lines.push((0..pick(200)).map(|_| pick(256) as u8).collect()),
        }
    }
    let mut input = lines.concat();
    input.truncate(INPUT_MAX);
    input
}
