//! Commands as clients write them, and nearly so.

use proptest::prelude::*;

fn set() -> impl Strategy<Value = String> {
    prop_oneof![10 => one_of("1|1:*|*|17,25:40,900:*|9:3|$|2,$|4294967295|5:5"), 1 => one_of("4294967296|0|1:2:3|01")]
}

/// One of those that `|` parts.
fn one_of(words: &'static str) -> impl Strategy<Value = String> + Clone {
    prop::sample::select(words.split('|').collect::<Vec<_>>()).prop_map(String::from)
}

const ITEMS: [&str; 2] = [
    "UID|flags|MODSEQ|EmailId|SAVEDATE|THREADID|PREVIEW|FLAGS|INTERNALDATE|RFC822.SIZE|ENVELOPE|BODY|BodyStructure|RFC822|RFC822.HEADER|\
    RFC822.TEXT|BODY[]|BODY.PEEK[]|BODY[TEXT]<0.2048>|BODY.PEEK[1.2.MIME]|body[1.HEADER]|\
    BODY[HEADER.FIELDS (From \"To\" {4}\r\nDate)]|BODY.PEEK[2.HEADER.FIELDS.NOT (a b)]<5.1>|\
    BINARY[1]<3.9>|BINARY.PEEK[]|BINARY.SIZE[2.1]|BODY[HEADER.FIELDS (\"\u{e9}\" x)]",
    "BODY[MIME]|BODY[1.]|BODY[0]|BODY[1]<0.0>|BODY[HEADER.FIELDS ()]|BODYSTRUCTUREX|ALL|FAST",
];

const KEYS: [&str; 2] = [
    "ALL|unseen|NEW|OLD|1:5|$|UID 7:*|SINCE 1-Feb-2026|BEFORE \"31-Dec-1999\"|FROM smith|\
    SUBJECT \"a \\\"b\\\" c\"|HEADER X-Y {3}\r\na b|NOT SEEN|OR ANSWERED DRAFT|LARGER 100000|\
    KEYWORD $Junk|UNKEYWORD x|(DELETED TEXT x)|(ALL)|OLDER 3600|TO \"\u{fc}\"|CC a|BCC b|\
    SENTSINCE 01-jan-2020|NOT (OR 1 2)|MODSEQ 7|modseq \"/flags/\\\\seen\" ALL 7|EMAILID M_a-1|\
    THREADID t|SAVEDON 1-Jan-2026|SAVEDATESUPPORTED",
    "ON 30-Feb-2026|SMALLER 9223372036854775808|YOUNGER 0|BODY \u{fc}|UNANSWEREDX|TEXT",
];

const FLAGS: [&str; 2] = [
    "\\Seen|\\answered|\\Flagged|\\Deleted|\\Draft|$Junk|$junk|work",
    "\\Recent|\\|\\X|a]||kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
];

/// Words of the first list, and now and then one of the second, which are wrong there.
fn joined([usual, odd]: [&'static str; 2], len: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![20 => one_of(usual), 1 => one_of(odd)], len).prop_map(|words| words.join(" "))
}

pub(crate) fn line() -> impl Strategy<Value = Vec<u8>> {
    let uid = prop::sample::select(vec!["", "UID ", "uid "]);
    let modifiers = prop_oneof![
        4 => Just(String::new()),
        1 => one_of(" (CHANGEDSINCE 5)| (X (1 (2)) Y)| ()| (X 1| (X \"a b\")| (UNCHANGEDSINCE 0)"),
    ];
    let texts = one_of("joe|\"correct horse\"|\"a\\\"b\\\\\"|{3}\r\na\"b|{3+}\r\n\r\n]|a]b|\"\"|a(|{9}\r\nx");
    let others = one_of(
        "SELECT INBOX|EXAMINE \"a b\" (CONDSTORE)|LIST \"\" *|\
    LIST (SUBSCRIBED) \"\" (a% b) RETURN (CHILDREN STATUS (SIZE))|LSUB \"\" %|\
    STATUS x (MESSAGES UNSEEN messages)|CREATE x (USE (\\Sent \\Odd))|RENAME a b|ENABLE X Y|\
    AUTHENTICATE PLAIN AGE=|ID (\"a\" NIL)|ID NIL|UID EXPUNGE 1:3|EXPUNGE|MOVE 1 x|UID MOVE 1,3 x|\
    SEARCH RETURN (MIN COUNT) ALL|UID SEARCH RETURN (UPDATE CONTEXT) ALL|CANCELUPDATE \"a\" \"b\\\\c\"|CANCELUPDATE a|ESEARCH ALL|ESEARCH IN (personal subtree-one a SUBTREE (\"b c\" d)) RETURN (COUNT) CHARSET UTF-8 SEEN|ESEARCH IN (selected-delayed) ALL|SEARCH RETURN (PARTIAL -1:-5 MIN) ALL|SEARCH RETURN (PARTIAL 0:1) ALL|\
    SORT (REVERSE DATE subject) UTF-8 ALL|UID SORT RETURN (COUNT) (DISPLAYFROM) US-ASCII SEEN|SORT () UTF-8 ALL|\
    THREAD REFERENCES UTF-8 1:5|UID THREAD orderedsubject UTF-8 TEXT x|THREAD REFS UTF-8 ALL|SORT (DATE) X-NONE ALL|SEARCH CHARSET UTF-8 TEXT \u{fc}|SEARCH RETURN () CHARSET X-NONE ALL|\
    GETMETADATA (MAXSIZE 9) x (/private/a \"/Shared/B\" {9}\r\n/shared/c)|GETMETADATA x (DEPTH infinity) /private|GETMETADATA \"\" /shared/a /shared/b|\
    GETMETADATA x (DEPTH 2) /shared/a|SETMETADATA x (/private/a NIL /shared/b \"v\" /shared/c ~{3}\r\na\0b)|SETMETADATA x (/private NIL)|SETMETADATA x ()|\
    COMPRESS DEFLATE|COMPRESS GZIP|compress deflate |IDLE|SUBSCRIBE {1}\r\nx|LOGOUT|APPEND x|APPEND|NOOPX|UID NOOP|UID|NOOP |NOOP.|",
    );
    let listed = |list: bool, text: String| if list { format!("({text})") } else { text };
    let change =
        prop_oneof![20 => one_of("FLAGS|+FLAGS|-flags.silent|FLAGS.SILENT"), 1 => one_of("+FLAG|FLAGS.SILENTX")];
    let body = prop_oneof![
        1 => one_of("NOOP|noop"),
        1 => (texts.clone(), texts.clone()).prop_map(|(user, password)| format!("LOGIN {user} {password}")),
        4 => (uid.clone(), set(), prop::bool::weighted(0.9), joined(ITEMS, 1..5), modifiers.clone())
            .prop_map(move |(uid, set, list, items, more)| format!("{uid}FETCH {set} {}{more}", listed(list, items))),
        4 => (uid.clone(), joined(KEYS, 1..5)).prop_map(|(uid, keys)| format!("{uid}search {keys}")),
        3 => (uid.clone(), set(), modifiers, change, any::<bool>(), joined(FLAGS, 0..4))
            .prop_map(move |(uid, set, more, change, list, flags)|
                format!("{uid}Store {set}{more} {change} {}", listed(list, flags))),
        1 => (uid, set(), texts).prop_map(|(uid, set, mailbox)| format!("{uid}COPY {set} {mailbox}")),
        2 => others,
    ];
    (prop_oneof![20 => one_of("a001|A.1|]"), 1 => one_of("a+||x y")], body)
        .prop_map(|(tag, body)| format!("{tag} {body}\r\n").into_bytes())
}
