//! What every authenticator must do.

use pillarbox_core::sasl::{Credentials, Mechanism};

use crate::parts::{Authenticator, LoginAttempt, LoginOutcome};

/// Checks an authenticator that knows an account with this name and password.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use pillarbox::parts::MemoryAuthenticator;
/// use pillarbox::testing::authenticator_suite;
///
/// let accounts = MemoryAuthenticator::new().with("joe@example.org", "hunter2");
/// authenticator_suite(&accounts, "joe@example.org", "hunter2").await;
/// # });
/// ```
///
/// # Panics
///
/// At the first promise that is not kept.
pub async fn authenticator_suite(accounts: &dyn Authenticator, user: &str, password: &str) {
    let login = async |authorization: &str, name: &str, password: &str| {
        let credentials = Credentials::plain(authorization, name, password);
        accounts.login(&LoginAttempt::new("imap", Mechanism::Plain, credentials, None)).await
    };
    let LoginOutcome::Accepted(identity) = login("", user, password).await else {
        panic!("the right password is accepted");
    };
    assert_eq!(login(user, user, password).await, LoginOutcome::Accepted(identity.clone()), "one may act as oneself");
    let stranger = format!("no-{user}");
    let refused = [
        ("", user, "", "an empty password"),
        ("", user, &*format!("{password} "), "a longer password"),
        ("", user, &password[..password.len() - 1], "a shorter password"),
        ("", &*stranger, password, "an unknown name"),
        ("", "", password, "an empty name"),
        ("", &*format!("{user}\0"), password, "a name with NUL"),
        ("", &*format!("{user}*"), password, "a name with a wildcard"),
        (&*stranger, user, password, "acting for somebody else"),
        (&*format!("{user}%"), user, password, "acting for whoever fits a pattern"),
    ];
    for (authorization, name, password, what) in refused {
        assert_eq!(login(authorization, name, password).await, LoginOutcome::Refused, "{what} is refused");
    }
    // What means something to a database, a directory, a template or a file: it is a name like any other, and nobody's.
    for odd in
        ["'", "' OR '1'='1", "\"", "\\", "%", "%{user}", "*)(uid=*", ")", ":", "\n", "\t", " ", "/../x", "\u{200b}"]
    {
        for name in [format!("{user}{odd}"), format!("{odd}{user}"), odd.to_owned()] {
            assert_eq!(login("", &name, password).await, LoginOutcome::Refused, "{name:?} is nobody's name");
            assert_eq!(accounts.knows(&name).await, Some(false), "{name:?} is not known");
        }
    }
    assert_eq!(accounts.knows(identity.user()).await, Some(true), "the identity is a name that is known");
    assert_eq!(accounts.knows(&stranger).await, Some(false), "a stranger is not known");
}
