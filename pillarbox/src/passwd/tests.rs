use std::io::Write;

use pillarbox_core::sasl::{Credentials, Mechanism};

use super::*;

// Made by `doveadm pw -p pässword` of Dovecot 2.3.19.
const PLAIN: &str = "{PLAIN}pässword";
const SHA512: &str = "{SHA512-CRYPT}$6$Cn097a4jqd.deohK$NG738.kHTjebVUBIfM44zMBgtJNQWYh//ga9SjiZjAH.p9rrclYzKVOEl7bth3bJTzuCs7YBrSSx.RVTH2S/m1";
const BCRYPT: &str = "{BLF-CRYPT}$2y$05$ftp6FcQt0atznpPlwASe5e/7oXe722HOxsfYS9A0AxsjkOR/LK3xq";
const ARGON: &str =
    "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$Re0dHS3qyeLvdK8skkrzOw$0kKvOboBCH4KSjYXY8RnhFpqH4LW3qb3DnRk57p/tS4";
// The same with `-r 6000 -p x`.
const SHA512_ROUNDS: &str = "{SHA512-CRYPT}$6$rounds=6000$FMpHuQ5i/Y7W0VfO$7eQnB5thG/QPsKiRphyCqX1b5PqlX.0XAP7aGhN0xhDSxJ.9qwyIikxgb3tE5KfQQFc0T.P/./.BtcZE8uhKn1";

async fn login_as(file: &PasswdFile, authorization: &str, user: &str, password: &str) -> LoginOutcome {
    let credentials = Credentials::plain(authorization, user, password);
    file.login(&LoginAttempt::new("imap", Mechanism::Plain, credentials, None)).await
}

async fn login(file: &PasswdFile, user: &str, password: &str) -> LoginOutcome {
    login_as(file, "", user, password).await
}

fn accepted(user: &str) -> LoginOutcome {
    LoginOutcome::Accepted(Identity::new(user))
}

#[tokio::test]
async fn hashes_of_dovecot_are_checked() {
    for hash in [PLAIN, SHA512, BCRYPT, ARGON] {
        let file = PasswdFile::parse(&format!("Joe@example.org:{hash}:1000:1000::/home/joe::\n")).unwrap();
        assert_eq!(login(&file, "joe@EXAMPLE.org", "pässword").await, accepted("Joe@example.org"), "{hash}");
        assert_eq!(login(&file, "joe@example.org", "passwort").await, LoginOutcome::Refused, "{hash}");
        assert_eq!(login(&file, "joe@example.org", "").await, LoginOutcome::Refused, "{hash}");
        assert_eq!(login(&file, "ann@example.org", "pässword").await, LoginOutcome::Refused, "{hash}");
    }
    let file = PasswdFile::parse(&format!("joe:{SHA512_ROUNDS}")).unwrap();
    assert_eq!(login(&file, "joe", "x").await, accepted("joe"));
}

#[tokio::test]
async fn nobody_acts_for_another() {
    let file = PasswdFile::parse("joe:{PLAIN}x\nann:{PLAIN}y\n").unwrap();
    assert_eq!(login_as(&file, "joe", "joe", "x").await, accepted("joe"));
    assert_eq!(login_as(&file, "ann", "joe", "x").await, LoginOutcome::Refused);
}

#[tokio::test]
async fn names_that_there_are_not_cost_the_same_work() {
    for hash in [SHA512, SHA512_ROUNDS, BCRYPT, "{PLAIN}secret", SCRAM_256] {
        let file = PasswdFile::parse(&format!("joe:{hash}\nann:{hash}\nlocked:\n")).unwrap();
        for name in ["joe", "ann", "nobody", "locked"] {
            assert_eq!(login(&file, name, "wrong").await, LoginOutcome::Refused, "{hash} {name}");
        }
        // One check each, by the same scheme with as many rounds.
        let costs = file.costs.lock().unwrap();
        assert!(costs.len() == 4 && costs.iter().all(|cost| *cost == costs[0]), "{hash}: {costs:?}");
    }
}

#[tokio::test]
async fn names_that_mean_something_elsewhere_mean_nothing_here() {
    let file = PasswdFile::parse("joe@example.org:{PLAIN}secret\n%u:{PLAIN}secret\n").unwrap();
    assert_eq!(login(&file, "joe@example.org", "secret").await, accepted("joe@example.org"));
    for name in [
        "joe@example.org' OR '1'='1",
        "joe@example.org\"",
        "*",
        "joe*",
        "*)(uid=*",
        "joe@example.org\0",
        "joe@example.org\0x",
        "%{user}",
        "%{auth_user}",
        "\\joe@example.org",
        "joe@example.org\\",
        "../joe@example.org",
        "joe@example.org:{PLAIN}secret",
        "joe@example.org ",
        " joe@example.org",
        "joe@example.org\n",
        "joe@example.or\u{261}",
        "",
    ] {
        assert_eq!(login(&file, name, "secret").await, LoginOutcome::Refused, "{name:?}");
        assert_eq!(file.knows(name).await, Some(false), "{name:?}");
    }
}

#[tokio::test]
async fn a_token_is_nobodys_password() {
    let file = PasswdFile::parse("joe:{PLAIN}x\n").unwrap();
    // Whatever stands in it: nothing here looks.
    for token in ["x", "eyJhbGciOiJub25lIn0.e30.", "../../etc/passwd", "' OR 1=1"] {
        let credentials = Credentials::bearer("joe", token);
        let attempt = LoginAttempt::new("imap", Mechanism::OAuthBearer, credentials, None);
        assert_eq!(file.login(&attempt).await, LoginOutcome::Refused, "{token}");
    }
    for mechanism in [Mechanism::OAuthBearer, Mechanism::XOAuth2, Mechanism::External, Mechanism::Anonymous] {
        assert!(!file.can_judge(&mechanism), "{mechanism} is not offered");
    }
}

#[tokio::test]
async fn accounts_without_a_password_cannot_log_in() {
    let file = PasswdFile::parse(
        "a::::::\nb:{PLAIN}x::::::nologin\nc:{PLAIN}x:::x:/home/c::userdb_mail=maildir:~/M nologin=y\nd:{PLAIN}x\n",
    )
    .unwrap();
    for user in ["a", "b", "c"] {
        assert_eq!(file.knows(user).await, Some(true));
        assert_eq!(login(&file, user, "x").await, LoginOutcome::Refused, "{user}");
        assert_eq!(login(&file, user, "").await, LoginOutcome::Refused, "{user}");
    }
    assert_eq!(login(&file, "d", "x").await, accepted("d"));
    assert_eq!(file.knows("e").await, Some(false));
    let empty = PasswdFile::parse("").unwrap();
    assert_eq!(login(&empty, "a", "x").await, LoginOutcome::Refused);
}

#[test]
fn errors_tell_where() {
    let wrong = [
        ("joe\n", "line 1, column 1: an account is written as user:{SCHEME}hash"),
        (":{PLAIN}x\n", "line 1, column 1: an account is written as user:{SCHEME}hash"),
        ("# c\n\njé\u{7}:{PLAIN}x\n", "line 3, column 3: a user name cannot hold control characters"),
        ("a:{PLAIN}x\nb:{PLAIN}x\nA:{PLAIN}x\n", "line 3, column 1: the same user stands on line 1"),
        ("joe:secret\n", "line 1, column 5: the password has no {SCHEME} in front"),
        ("joe:{MD5}x\n", "line 1, column 5: there is no password scheme MD5 here"),
        ("joe:{SHA512-CRYPT}$5$a$b\n", "line 1, column 19: this is no hash of SHA512-CRYPT"),
        ("joe:{SHA512-CRYPT}$6$a$b\n", "line 1, column 19: this is no hash of SHA512-CRYPT"),
        ("joe:{BLF-CRYPT}$2y$05$short\n", "line 1, column 16: this is no hash of BLF-CRYPT"),
        (
            "joe:{ARGON2ID}$argon2i$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAA\n",
            "line 1, column 15: this is no hash of ARGON2ID",
        ),
        (
            "joe:{PLAIN}x::::::a=b allow_nets=10.0.0.0/8\n",
            "line 1, column 23: the extra field allow_nets is not supported",
        ),
    ];
    for (text, message) in wrong {
        assert_eq!(PasswdFile::parse(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn strangers_are_checked_against_the_commonest_cost() {
    let file = PasswdFile::parse(&format!("a:{{PLAIN}}x\nb:{BCRYPT}\nc:{ARGON}\nd:{BCRYPT}\n")).unwrap();
    assert_eq!(file.accounts().decoy.as_ref().map(|hash| hash.cost().to_owned()).as_deref(), Some("$2y$05$"));
    let cost = |text: &str| PasswdFile::parse(text).unwrap().accounts().decoy.clone().unwrap().cost().to_owned();
    assert_eq!(cost(&format!("a:{ARGON}")), "$argon2id$v=19$m=65536,t=3,p=1");
    assert_eq!(cost(&format!("a:{SHA512_ROUNDS}")), "rounds=6000$");
    assert_eq!(cost(&format!("a:{SHA512}")), "$6$");
}

#[tokio::test]
async fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    let write = |text: &str| {
        // As an editor does: a new file, moved over the old one.
        let new = folder.path().join("users.new");
        std::fs::File::create(&new).unwrap().write_all(text.as_bytes()).unwrap();
        std::fs::rename(&new, &path).unwrap();
    };
    assert!(matches!(PasswdFile::load(&path), Err(LoadError::Read { .. })));
    write("joe:{PLAIN}x\n");
    let file = PasswdFile::load(&path).unwrap();
    assert_eq!(login(&file, "joe", "x").await, accepted("joe"));
    write("joe:{PLAIN}y\n");
    assert_eq!(login(&file, "joe", "x").await, LoginOutcome::Refused);
    assert_eq!(login(&file, "joe", "y").await, accepted("joe"));
    write("joe:{PLAIN}z\nann\n");
    assert_eq!(login(&file, "joe", "y").await, accepted("joe"));
    assert!(
        file.error()
            .unwrap()
            .to_string()
            .ends_with("users: line 2, column 1: an account is written as user:{SCHEME}hash")
    );
    std::fs::remove_file(&path).unwrap();
    assert_eq!(login(&file, "joe", "y").await, accepted("joe"));
    assert!(matches!(file.error(), Some(LoadError::Read { .. })));
    write("ann:{PLAIN}z\n");
    assert_eq!(login(&file, "ann", "z").await, accepted("ann"));
    assert!(file.error().is_none() && file.users().eq(["ann"]));
}

// Made by `doveadm pw -p pencil` of Dovecot 2.3.19.
const SCRAM_256: &str = "{SCRAM-SHA-256}4096,Y0oxOuC0gd561s1pY1DnjQ==,SnRVIVnohuSC2XR0LWCKdtA649MwRDiELfS7HcM8JJ0=,oeIH9Xgn0KxCi358fndd0OOtvrKB3TuLrZg4RIqxDqg=";
const SCRAM_1: &str =
    "{SCRAM-SHA-1}4096,8k2gtBP6A6wfpkkvKJC8Mw==,i4swl3a/Gsp4YeJBYxyES/cY8VE=,qDZJPxq2c2a0a8CG24nb27SKYuE=";

#[tokio::test]
async fn scram_keys_of_dovecot() {
    for (stored, algorithm) in [(SCRAM_256, HashAlgorithm::Sha256), (SCRAM_1, HashAlgorithm::Sha1)] {
        let file = PasswdFile::parse(&format!("Joe:{stored}\nout:{stored}::::::nologin\n")).unwrap();
        assert_eq!(login(&file, "joe", "pencil").await, accepted("Joe"));
        assert_eq!(login(&file, "joe", "pencils").await, LoginOutcome::Refused);
        let keys = file.scram_keys("JOE", algorithm).await.unwrap();
        assert!(stored.ends_with(keys.to_text().expose().as_str()));
        assert!(keys.matches(&RingCrypto, &"pencil".into()));
        // Whoever cannot log in has keys that look the same and fit no password.
        for name in ["ann", "out"] {
            let decoy = file.scram_keys(name, algorithm).await.unwrap();
            assert_eq!((decoy.iterations(), decoy.salt().len()), (keys.iterations(), keys.salt().len()), "{name}");
            assert!(!decoy.matches(&RingCrypto, &"pencil".into()), "{name}");
            let again = file.scram_keys(&name.to_uppercase(), algorithm).await.unwrap();
            assert_eq!(decoy.salt(), again.salt(), "{name}");
        }
        let proven = |authorization, name| {
            LoginAttempt::new("imap", Mechanism::ScramSha256, Credentials::proven(authorization, name), None)
        };
        assert_eq!(file.login(&proven("", "joe")).await, accepted("Joe"));
        assert_eq!(file.login(&proven("ann", "joe")).await, LoginOutcome::Refused);
        assert_eq!(file.login(&proven("", "out")).await, LoginOutcome::Refused);
        assert_eq!(file.login(&proven("", "ann")).await, LoginOutcome::Refused);
        let bearer = Credentials::bearer("joe", "pencil");
        let attempt = LoginAttempt::new("imap", Mechanism::OAuthBearer, bearer, None);
        assert_eq!(file.login(&attempt).await, LoginOutcome::Refused);
    }
}

#[tokio::test]
async fn scram_keys_of_passwords_in_clear_text() {
    let file = PasswdFile::parse("joe:{PLAIN}pencil\n").unwrap().with_salt_secret(b"secret"[..].into());
    let keys = file.scram_keys("Joe", HashAlgorithm::Sha256).await.unwrap();
    assert!(keys.matches(&RingCrypto, &"pencil".into()));
    let stranger = file.scram_keys("ann", HashAlgorithm::Sha256).await.unwrap();
    assert!(!stranger.matches(&RingCrypto, &"pencil".into()) && !stranger.matches(&RingCrypto, &"x".into()));
    assert_eq!((stranger.iterations(), stranger.salt().len()), (keys.iterations(), keys.salt().len()));
    // Salts are the same after a restart with the same secret, and follow from nothing else.
    let again = PasswdFile::parse("joe:{PLAIN}pencils\n").unwrap().with_salt_secret(b"secret"[..].into());
    assert_eq!(again.scram_keys("joe", HashAlgorithm::Sha256).await.unwrap().salt(), keys.salt());
    let other = PasswdFile::parse("joe:{PLAIN}pencil\n").unwrap();
    assert_ne!(other.scram_keys("joe", HashAlgorithm::Sha256).await.unwrap().salt(), keys.salt());
}

#[test]
fn scram_is_offered_where_everybody_has_keys() {
    for (text, sha_1, sha_256) in [
        ("".to_owned(), false, false),
        (format!("a:{SCRAM_256}\n"), false, true),
        (format!("a:{SCRAM_256}\nb:{{PLAIN}}x\n"), false, true),
        (format!("a:{SCRAM_1}\nb:{{PLAIN}}x\n"), true, false),
        (format!("a:{SCRAM_1}\nb:{SCRAM_256}\n"), false, false),
        (format!("a:{SCRAM_256}\nb:{BCRYPT}\n"), false, false),
        (format!("a:{SCRAM_256}\nb:{BCRYPT}::::::nologin\nc::\n"), false, true),
        ("a:{PLAIN}x\n".to_owned(), true, true),
    ] {
        let file = PasswdFile::parse(&text).unwrap();
        assert_eq!(file.can_judge(&Mechanism::ScramSha1), sha_1, "{text}");
        assert_eq!(file.can_judge(&Mechanism::ScramSha256Plus), sha_256, "{text}");
        assert!(file.can_judge(&Mechanism::Plain) && !file.can_judge(&Mechanism::OAuthBearer));
    }
    for wrong in ["{SCRAM-SHA-256}4096,AAAA", "{SCRAM-SHA-256}", &SCRAM_256.replace("4096", "1000001")] {
        let error = PasswdFile::parse(&format!("a:{wrong}\n")).unwrap_err();
        assert_eq!(error.fault, ParseFault::InvalidHash("SCRAM-SHA-256"), "{wrong}");
    }
}
