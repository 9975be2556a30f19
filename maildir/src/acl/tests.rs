use proptest::prelude::*;

use super::*;

fn rights(file: &str, user: &str, groups: &[&str], is_owner: bool) -> String {
    let user = Some(user).filter(|user| !user.is_empty());
    Acl::parse(file.as_bytes()).unwrap().rights(&Who { user, groups, is_owner }).to_string()
}

#[test]
fn who_is_meant_more_closely_counts() {
    let file = "anyone l\nauthenticated lr\ngroup=staff lrw\ngroup=help ls\nuser=ann lrst\ngroup-override=banned l\n";
    assert_eq!(rights(file, "", &[], false), "l");
    assert_eq!(rights(file, "joe", &[], false), "lr");
    assert_eq!(rights(file, "joe", &["staff"], false), "lrw");
    assert_eq!(rights(file, "joe", &["staff", "help"], false), "lrws", "groups are put together");
    assert_eq!(rights(file, "ann", &["staff"], false), "lrst");
    assert_eq!(rights(file, "ann", &["banned"], false), "l");
    assert_eq!(rights("", "joe", &["staff"], false), "");
}

#[test]
fn what_is_taken_away_is_taken_at_the_end() {
    assert_eq!(rights("user=ann lrws\n-user=ann w\n", "ann", &[], false), "lrs");
    assert_eq!(rights("user=ann lrws\n-group=x ws\n", "ann", &["x"], false), "lr");
    assert_eq!(rights("-anyone a\nuser=ann lra\n", "ann", &[], false), "lr");
    assert_eq!(rights("-user=ann w\nuser=ann lrw\ngroup-override=x lrwi\n", "ann", &["x"], false), "lri");
}

/// RFC 4314 §2: from all who match, whichever other identifier matches them. A further line that takes away never gives back.
#[test]
fn each_entry_that_takes_away_counts() {
    assert_eq!(rights("user=bob lrw\n-group=guests lr\n", "bob", &["guests"], false), "w");
    assert_eq!(rights("user=bob lrw\n-group=guests lr\n-user=bob w\n", "bob", &["guests"], false), "");
    assert_eq!(rights("-anyone lr\n-user=ann w\nuser=ann lrws\n", "ann", &[], false), "s");
    assert_eq!(rights("user=bob lrws\n-anyone r\n-group=guests s\n", "bob", &["guests"], false), "lw");
    assert_eq!(rights("-group=x wla\n", "joe", &["x"], true), "lrstipekxa");
}

#[test]
fn an_owner_may_see_and_administer() {
    assert_eq!(rights("", "joe", &[], true), Rights::ALL.to_string());
    assert_eq!(rights("anyone l\ngroup=x r\n", "joe", &["x"], true), Rights::ALL.to_string());
    assert_eq!(rights("owner rw\n", "joe", &[], true), "lrwa");
    assert_eq!(rights("owner lrwstipekxa\n-owner lxa\n", "joe", &[], true), "lrwstipeka");
    assert_eq!(rights("-anyone w\n", "joe", &[], true), "lrstipekxa");
}

#[test]
fn entries_that_mean_the_same() {
    let named = |file: &str| {
        let named = Acl::parse(file.as_bytes()).unwrap().identified(|identifier| match identifier {
            Identifier::User(name) if name.eq_ignore_ascii_case("ann") => Identifier::Owner,
            Identifier::User(name) if name == "nobody" => Identifier::User(String::new()),
            Identifier::User(name) => Identifier::User(name.to_lowercase()),
            other => other.clone(),
        });
        String::from_utf8(named.encode()).unwrap()
    };
    assert_eq!(
        named("# ours\nuser=Bob lr :custom\n-user=BOB w\nuser=bob s :post x\n"),
        "# ours\nuser=bob lrsp :custom x\n-user=bob w\n"
    );
    for both in ["owner lrw\nuser=ann ls\n", "user=Ann l\nowner lrw\nuser=ann s\n"] {
        assert_eq!(named(both), "owner ls\n", "who is meant more closely counts");
    }
    assert_eq!(named("-owner w\n-user=ann x\n"), "-owner wx\n");
    assert_eq!(named("user=nobody l\n"), "user=nobody l\n", "a file that cannot be read again is never made");
}

#[test]
fn what_dovecot_writes() {
    let file = "# by hand\n\n\"user=jo \\\"x\\\" doe\" lr :custom post\n-group=guests w\nowner\nanonymous l\nuser=a lr\nuser=a ws\n";
    let acl = Acl::parse(file.as_bytes()).unwrap();
    let entries: Vec<_> = acl
        .entries()
        .map(|entry| (entry.identifier.to_string(), entry.negative, entry.rights.to_string(), entry.others.join(",")))
        .collect();
    let row = |id: &str, negative, rights: &str, others: &str| (id.into(), negative, rights.into(), others.into());
    assert_eq!(
        entries,
        [
            row("user=jo \"x\" doe", false, "lrp", "custom"),
            row("group=guests", true, "w", ""),
            row("owner", false, "", ""),
            row("anyone", false, "l", ""),
            row("user=a", false, "lrws", ""),
        ]
    );
    let written = acl.encode();
    assert_eq!(
        String::from_utf8_lossy(&written),
        "# by hand\n\n\"user=jo \\\"x\\\" doe\" lrp :custom\n-group=guests w\nowner \nanyone l\nuser=a lrws\n"
    );
    assert_eq!(Acl::parse(&written), Some(acl));
}

#[test]
fn what_is_not_understood_is_no_list() {
    for line in [
        "joe lr",
        "user= lr",
        "user=joe lrZ",
        "user=joe lr custom",
        "\"user=joe lr",
        "\"user=joe\"lr",
        "user=a\u{1}b l",
        "\u{0}",
    ] {
        assert_eq!(Acl::parse(format!("owner lr\n{line}\n").as_bytes()), None, "{line:?}");
    }
    assert_eq!(Acl::parse(b"user=\xff l\n"), None);
    assert_eq!(Rights::parse("lrZ"), Err(AclError::Right('Z')));
}

/// RFC 4314 §3.1: added to what the owner has, or removed from it, whether or not a line says so.
#[test]
fn the_owner_begins_with_all() {
    let letters = |text| Rights::parse(text).unwrap();
    let owner = Who { is_owner: true, ..Who::default() };
    for (change, expected) in [
        (RightsChange::Add(letters("x")), "lrwstipekxa"),
        (RightsChange::Remove(letters("x")), "lrwstipeka"),
        (RightsChange::Replace(letters("r")), "lra"),
    ] {
        let mut acl = Acl::default();
        acl.set(&Identifier::Owner, false, change).unwrap();
        assert_eq!(acl.rights(&owner).to_string(), expected, "{change:?}");
        assert_eq!(Acl::parse(&acl.encode()), Some(acl.clone()));
        acl.set(&Identifier::Owner, false, RightsChange::Remove(letters("r"))).unwrap();
        assert_eq!(acl.rights(&owner).to_string(), expected.replace('r', ""), "{change:?}");
    }
    let mut acl = Acl::default();
    acl.set(&Identifier::Owner, true, RightsChange::Remove(letters("x"))).unwrap();
    assert_eq!(acl, Acl::default(), "nothing was taken away");
    acl.set(&Identifier::Owner, true, RightsChange::Add(letters("x"))).unwrap();
    assert_eq!(acl.encode(), b"-owner x\n");
}

#[test]
fn changes_and_their_limit() {
    let mut acl = Acl::default();
    let ann = Identifier::User("ann".into());
    let letters = |text| Rights::parse(text).unwrap();
    acl.set(&ann, false, RightsChange::Remove(letters("l"))).unwrap();
    assert_eq!(acl.encode(), b"");
    acl.set(&ann, false, RightsChange::Add(letters("lr"))).unwrap();
    acl.set(&ann, true, RightsChange::Replace(letters("w"))).unwrap();
    acl.set(&ann, false, RightsChange::Add(letters("s"))).unwrap();
    acl.set(&ann, false, RightsChange::Remove(letters("r"))).unwrap();
    assert_eq!(acl.encode(), b"user=ann ls\n-user=ann w\n");
    acl.remove(&ann, true);
    assert_eq!(acl.encode(), b"user=ann ls\n");
    for name in ["", "a\nowner lra", &"x".repeat(600)] {
        let bad = Identifier::User(name.into());
        assert_eq!(acl.set(&bad, false, RightsChange::Add(Rights::ALL)), Err(AclError::Identifier));
    }
    for n in 1..ACL_ENTRIES_MAX {
        acl.set(&Identifier::User(format!("u{n}")), false, RightsChange::Add(Rights::LOOKUP)).unwrap();
    }
    let more = Identifier::User("more".into());
    assert_eq!(acl.set(&more, false, RightsChange::Add(Rights::LOOKUP)), Err(AclError::TooMany));
    acl.set(&ann, false, RightsChange::Replace(Rights::ALL)).unwrap();
}

proptest! {
    #[test]
    fn any_entry_comes_back(name in "[^\\p{Cc}]{1,20}", negative in any::<bool>(), bits in 0_u16..=Rights::ALL.0) {
        let mut acl = Acl::default();
        acl.set(&Identifier::User(name), negative, RightsChange::Replace(Rights(bits))).unwrap();
        prop_assert_eq!(Acl::parse(&acl.encode()), Some(acl));
    }

    #[test]
    fn garbage_is_read_without_harm(bytes in any::<Vec<u8>>(), text in "[\"\\\\ a-z=:\n-]{0,60}") {
        let _ = Acl::parse(&bytes);
        let _ = Acl::parse(text.as_bytes());
    }
}
