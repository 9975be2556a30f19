//! Internationalised domain names (RFC 5890) by punycode (RFC 3492), without any mapping. A name that is not in its normal
//! form is refused: programs that map names take it for another one, so that what is checked and what is shown could differ.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Why a name has no form in ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name has no form in ASCII")]
#[non_exhaustive]
pub struct IdnError;

/// The form of a domain that the DNS knows: labels beyond ASCII become A-labels (RFC 5890 §2.3.2.1), others stay as they are.
/// Lengths are for [`dns::Name`](pillarbox_core::dns::Name) to judge.
///
/// # Errors
///
/// [`IdnError`] if a label has no A-label of at most 63 octets, or holds a character that no U-label has because programs
/// change it or leave it out (RFC 5892 §2): a capital letter beyond ASCII, one of another width or style, one that is not
/// shown, or a mark that could be part of the letter before it.
///
/// ```
/// use pillarbox_auth::idn;
///
/// assert_eq!(idn::to_ascii("bücher.example")?, "xn--bcher-kva.example");
/// assert_eq!(idn::to_ascii("example.org")?, "example.org");
/// # Ok::<(), idn::IdnError>(())
/// ```
pub fn to_ascii(domain: &str) -> Result<Cow<'_, str>, IdnError> {
    if domain.is_ascii() {
        return Ok(Cow::Borrowed(domain));
    }
    let mut ascii = String::with_capacity(domain.len() + 8);
    // RFC 3490 §3.1 (1): these full stops stand for a dot, too; taking them for letters would hide a label.
    for (index, label) in domain.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).enumerate() {
        if index > 0 {
            ascii.push('.');
        }
        if label.is_ascii() {
            ascii.push_str(label);
        } else {
            if label.chars().any(is_unstable) {
                return Err(IdnError);
            }
            ascii.push_str("xn--");
            let start = ascii.len();
            encode(label, &mut ascii)?;
            if ascii.len() - start > ENCODED_MAX {
                return Err(IdnError);
            }
        }
    }
    Ok(Cow::Owned(ascii))
}

/// The form that people read: A-labels become U-labels where they are valid, others stay as they are.
///
/// ```
/// assert_eq!(pillarbox_auth::idn::to_unicode("xn--bcher-kva.example"), "bücher.example");
/// ```
pub fn to_unicode(domain: &str) -> Cow<'_, str> {
    let is_a_label = |label: &str| label.as_bytes().get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"xn--"));
    if !domain.split('.').any(is_a_label) {
        return Cow::Borrowed(domain);
    }
    let mut unicode = String::with_capacity(domain.len());
    for (index, label) in domain.split('.').enumerate() {
        if index > 0 {
            unicode.push('.');
        }
        match is_a_label(label).then(|| decode(&label[4..])).flatten() {
            // A label that another one stands for, or that hides a dot or a control, is no U-label.
            Some(decoded) if is_shown(&decoded) && encodes_to(&decoded, &label[4..]) => unicode.push_str(&decoded),
            _ => unicode.push_str(label),
        }
    }
    Cow::Owned(unicode)
}

fn is_shown(label: &str) -> bool {
    !label.is_ascii()
        && !label.chars().any(is_unstable)
        && !label.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '.' | '@' | '<' | '>'))
}

/// Whether a character may stand for others, or for nothing, in programs that map names. All that RFC 5892 leaves out would
/// take large tables; these are the capitals, and the blocks by which a name in a common script could be imitated: of what
/// is ignored, composed, or of another width or style. Some of their characters would be allowed, and stand in hardly any
/// name.
fn is_unstable(c: char) -> bool {
    let is_capital = || !c.is_ascii() && c.to_lowercase().ne([c]);
    UNSTABLE.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(c))) || is_capital()
}

const UNSTABLE: [(u32, u32); 46] = [
    // Signs and small figures of Latin-1, but for the middle dot, which Catalan has.
    (0xa0, 0xb6),
    (0xb8, 0xbf),
    // Letters that stand for two, and the long s.
    (0x132, 0x133),
    (0x13f, 0x140),
    (0x149, 0x149),
    (0x17f, 0x17f),
    (0x1c4, 0x1cc),
    (0x1f1, 0x1f3),
    // Small letters above the line, spacing marks.
    (0x2b0, 0x2b8),
    (0x2d8, 0x2dd),
    (0x2e0, 0x2e4),
    // Combining marks, and what joins or is not shown.
    (0x300, 0x36f),
    (0x37a, 0x37a),
    (0x37e, 0x37e),
    (0x61c, 0x61c),
    (0x653, 0x655),
    // Parts of Korean syllables.
    (0x1100, 0x11ff),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x1ab0, 0x1aff),
    (0x1d2c, 0x1dff),
    (0x1e9a, 0x1e9b),
    // Punctuation, letters above and below the line, signs made of letters, figures in circles.
    (0x2000, 0x218f),
    (0x2460, 0x24ff),
    (0x2a74, 0x2a76),
    (0x2c7c, 0x2c7d),
    // The ideographic space, radicals, Japanese marks that join the letter before them, signs in squares.
    (0x2e80, 0x2fff),
    (0x3000, 0x3000),
    (0x3099, 0x309c),
    (0x3131, 0x318f),
    (0x3192, 0x319f),
    (0x3200, 0x33ff),
    (0xa7f2, 0xa7f9),
    (0xa960, 0xa97f),
    (0xd7b0, 0xd7ff),
    // Forms kept for other encodings, selectors of forms, letters of another width.
    (0xf900, 0xfdff),
    (0xfe00, 0xfeff),
    (0xff00, 0xfff8),
    (0x10780, 0x107bf),
    // Letters of mathematics, in circles and in squares; what is never shown.
    (0x1bca0, 0x1bca3),
    (0x1d100, 0x1d1ff),
    (0x1d400, 0x1d7ff),
    (0x1ee00, 0x1eeff),
    (0x1f100, 0x1f1ff),
    (0x1fbf0, 0x1fbf9),
    (0xe0000, 0xe0fff),
];

fn encodes_to(label: &str, encoded: &str) -> bool {
    let mut again = String::new();
    encode(label, &mut again).is_ok() && again.eq_ignore_ascii_case(encoded)
}

/// RFC 1035 §2.3.4
const LABEL_MAX: usize = 63;
/// Of an A-label, what stands behind `xn--`.
const ENCODED_MAX: usize = LABEL_MAX - 4;

// RFC 3492 §5
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

// RFC 3492 §6.1
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + ((BASE - T_MIN + 1) * delta) / (delta + SKEW)
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(T_MIN, T_MAX)
}

fn digit(value: u32) -> char {
    let value = u8::try_from(value).expect("a digit is below 36");
    char::from(if value < 26 { b'a' + value } else { b'0' + value - 26 })
}

// RFC 3492 §6.3
fn encode(label: &str, into: &mut String) -> Result<(), IdnError> {
    // No longer label has an A-label, and the time is quadratic in its length.
    if label.chars().nth(LABEL_MAX).is_some() {
        return Err(IdnError);
    }
    let start = into.len();
    into.extend(label.chars().filter(char::is_ascii));
    let basic = u32::try_from(into.len() - start).map_err(|_| IdnError)?;
    if basic > 0 {
        into.push('-');
    }
    let total = u32::try_from(label.chars().count()).map_err(|_| IdnError)?;
    let (mut n, mut delta, mut bias, mut done) = (INITIAL_N, 0_u32, INITIAL_BIAS, basic);
    while done < total {
        let next = label.chars().map(u32::from).filter(|&point| point >= n).min().ok_or(IdnError)?;
        delta = (next - n).checked_mul(done + 1).and_then(|step| delta.checked_add(step)).ok_or(IdnError)?;
        n = next;
        for point in label.chars().map(u32::from) {
            if point < n {
                delta = delta.checked_add(1).ok_or(IdnError)?;
            }
            if point == n {
                let mut q = delta;
                for k in (BASE..).step_by(BASE as usize) {
                    let t = threshold(k, bias);
                    if q < t {
                        break;
                    }
                    into.push(digit(t + (q - t) % (BASE - t)));
                    q = (q - t) / (BASE - t);
                }
                into.push(digit(q));
                bias = adapt(delta, done + 1, done == basic);
                delta = 0;
                done += 1;
            }
        }
        delta = delta.checked_add(1).ok_or(IdnError)?;
        n += 1;
    }
    Ok(())
}

// RFC 3492 §6.2
fn decode(encoded: &str) -> Option<String> {
    if encoded.len() > ENCODED_MAX || !encoded.is_ascii() {
        return None;
    }
    let (basic, rest) = encoded.rsplit_once('-').unwrap_or(("", encoded));
    let mut points = basic.chars().collect::<Vec<_>>();
    let (mut n, mut i, mut bias) = (INITIAL_N, 0_u32, INITIAL_BIAS);
    let mut digits = rest.bytes();
    while digits.len() > 0 {
        let before = i;
        let mut weight = 1_u32;
        for k in (BASE..).step_by(BASE as usize) {
            let value = match digits.next()? {
                octet @ b'a'..=b'z' => u32::from(octet - b'a'),
                octet @ b'A'..=b'Z' => u32::from(octet - b'A'),
                octet @ b'0'..=b'9' => u32::from(octet - b'0') + 26,
                _ => return None,
            };
            i = value.checked_mul(weight).and_then(|step| i.checked_add(step))?;
            let t = threshold(k, bias);
            if value < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
        }
        let count = u32::try_from(points.len()).ok()? + 1;
        bias = adapt(i - before, count, before == 0);
        n = n.checked_add(i / count)?;
        i %= count;
        points.insert(i as usize, char::from_u32(n)?);
        i += 1;
    }
    Some(points.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    /// RFC 3492 §7.1
    #[test]
    fn samples_of_the_rfc() {
        for (unicode, ascii) in [
            ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"),
            ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("他們爲什麽不說中文", "ihqwctvzc91f659drss3x8bo0yb"),
            ("Pročprostěnemluvíčesky", "Proprostnemluvesky-uyb24dma41a"),
            ("למההםפשוטלאמדבריםעברית", "4dbcagdahymbxekheh6e0a7fei0b"),
            ("почемужеонинеговорятпорусски", "b1abfaaepdrnnbgefbadotcwatmq2g4l"),
            ("3年B組金八先生", "3B-ww4c5e180e575a65lsy2b"),
            ("安室奈美恵-with-SUPER-MONKEYS", "-with-SUPER-MONKEYS-pc58ag80a8qai00g7n9n"),
        ] {
            let mut encoded = String::new();
            encode(unicode, &mut encoded).unwrap();
            assert_eq!(encoded, ascii);
            assert_eq!(decode(ascii).as_deref(), Some(unicode));
        }
    }

    #[test]
    fn names_go_both_ways() {
        assert_eq!(to_ascii("a.bücher。example").unwrap(), "a.xn--bcher-kva.example");
        assert_eq!(to_unicode("a.XN--bcher-kva.example"), "a.bücher.example");
        // Not what it would be encoded to, and one that would hide an `@`.
        for name in ["xn--.example", "xn--abc-.example", "xn--a@-\u{80}", "xn--99999999999.example"] {
            assert_eq!(to_unicode(name), name);
        }
        for name in ["xn--legit-4ha.example", "xn--legit-mt3b.example", "xn--BCHER-2pa.example"] {
            assert_eq!(to_unicode(name), name);
        }
        // Of 64 octets, so no A-label.
        let long = "xn--b7ckzximplaqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqaqqqqqqmple";
        assert_eq!(to_unicode(long), long);
        assert_ne!(to_unicode(&long[..63]), &long[..63]);
        assert_eq!(to_ascii(&"ü".repeat(64)), Err(IdnError));
        assert_eq!(to_ascii(&format!("{}ü", "a".repeat(62))), Err(IdnError));
    }
}
