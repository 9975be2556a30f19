//! What is offered beside what every session has.

/// What a session may offer of what the embedder has to answer. Made with [`Default`], which is everything that needs no
/// decision, and assignment.
///
/// Each field is a promise: a client that is told of an extension uses it, so whoever drives a session turns off what its
/// store cannot do. The `pillarbox` crate does so by what the store says of itself.
///
/// ```
/// use pillarbox_imap::server::{Extensions, ServerConfig};
///
/// let mut config = ServerConfig::default();
/// assert!(config.extensions.moves);
/// config.extensions = Extensions::NONE;
/// config.extensions.children = true;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extensions {
    /// ACL (RFC 4314): users may let others into their mailboxes, and see what they may do.
    pub acl: bool,
    /// BINARY (RFC 3516): messages may come with NUL in them and are kept octet for octet.
    pub binary: bool,
    /// CATENATE (RFC 4469): a message can be made of parts of others.
    pub catenate: bool,
    /// CHILDREN (RFC 3348): LIST answers carry `\HasChildren` or `\HasNoChildren` for every name.
    pub children: bool,
    /// COMPRESS=DEFLATE (RFC 4978): the driver can put [`Layer::Deflate`](pillarbox_core::Layer::Deflate) under a session. Off by
    /// default. Not offered together with [`unauthenticate`](Extensions::unauthenticate), which would have to take the layer away
    /// again (RFC 8437 §3).
    pub compress: bool,
    /// CONDSTORE (RFC 7162): every change of a mailbox has a mod-sequence, as far as the mailbox says so
    /// ([`Snapshot::highest_mod_seq`](super::Snapshot::highest_mod_seq)).
    pub condstore: bool,
    /// CONTEXT=SEARCH, and CONTEXT=SORT where there is SORT (RFC 5267): results of searches are kept up to date. The store has to bring
    /// every change of the selected mailbox.
    pub context: bool,
    /// CREATE-SPECIAL-USE (RFC 6154 §3): CREATE may say what a mailbox is for.
    pub create_special_use: bool,
    /// I18NLEVEL=2 (RFC 5255): SEARCH, SORT and THREAD compare texts by i;unicode-casemap, as [`search`](crate::search),
    /// [`sort`](crate::sort) and [`thread`](crate::thread) do; COMPARATOR says so.
    pub i18n: bool,
    /// LANGUAGE (RFC 5255): clients may ask for English. Nothing that a store has to do.
    pub language: bool,
    /// INPROGRESS (RFC 9585): the embedder says how far commands have come that take long ([`in_progress`](super::ServerSession::in_progress)).
    pub in_progress: bool,
    /// LIST-EXTENDED (RFC 5258) and LIST-STATUS (RFC 5819).
    pub list_extended: bool,
    /// LITERAL+ instead of LITERAL- after login (RFC 7888): a literal of any size may come unasked, and is eaten where it is
    /// not welcome. Without it a client asks before it sends more than 4096 octets.
    pub literal_plus: bool,
    /// METADATA (RFC 5464): mailboxes and the server have annotations.
    pub metadata: bool,
    /// METADATA-SERVER (RFC 5464): the server has annotations. [`metadata`](Extensions::metadata) has that in it.
    pub metadata_server: bool,
    /// MOVE (RFC 6851): a message is at every moment in one of the two mailboxes or in both.
    pub moves: bool,
    /// MULTIAPPEND (RFC 3502): several messages are stored all or none.
    pub multiappend: bool,
    /// MULTISEARCH (RFC 7377): several mailboxes are searched with one command.
    pub multisearch: bool,
    /// NOTIFY (RFC 5465): clients are told what happens in other mailboxes, and hear of the selected one between commands.
    pub notify: bool,
    /// OBJECTID (RFC 8474): mailboxes and messages have identifiers that outlive a change of name or place.
    pub object_id: bool,
    /// PARTIAL (RFC 9394): SEARCH, SORT and UID FETCH can be asked for a part of what there is. Nothing that a store has to do.
    pub partial: bool,
    /// QRESYNC (RFC 7162): it is known which messages went since when. Offered only together with
    /// [`condstore`](Extensions::condstore).
    pub qresync: bool,
    /// PREVIEW (RFC 8970): the beginning of a message's text can be told.
    pub preview: bool,
    /// QUOTA (RFC 9208) of messages and their room: there are limits, and clients are told them.
    pub quota: bool,
    /// QUOTASET (RFC 9208): some users may set limits, which they hear who
    /// [`let_set_quota`](super::ServerSession::let_set_quota) is said of.
    pub quota_set: bool,
    /// REPLACE (RFC 8508): a message takes the place of another in one step.
    pub replace: bool,
    /// IMAP4rev2 (RFC 9051) for clients that ENABLE it. Offered only together with [`binary`](Extensions::binary),
    /// [`list_extended`](Extensions::list_extended), [`moves`](Extensions::moves),
    /// [`special_use`](Extensions::special_use) and [`status_size`](Extensions::status_size), which are a part of it.
    pub rev2: bool,
    /// SAVEDATE (RFC 8514): it is known when a message came into its mailbox.
    pub save_date: bool,
    /// SORT and SORT=DISPLAY (RFC 5256, RFC 5957), and ESORT (RFC 5267).
    pub sort: bool,
    /// SPECIAL-USE (RFC 6154): LIST answers carry what mailboxes are for.
    pub special_use: bool,
    /// STATUS=SIZE (RFC 8438): the sum of the sizes of a mailbox's messages can be told.
    pub status_size: bool,
    /// THREAD=ORDEREDSUBJECT and THREAD=REFERENCES (RFC 5256).
    pub thread: bool,
    /// UIDONLY (RFC 9586) for clients that ENABLE it: they are told UIDs and no sequence numbers.
    pub uid_only: bool,
    /// UNAUTHENTICATE (RFC 8437): one connection may serve several users in turn, which is for proxies. Off by default.
    pub unauthenticate: bool,
    /// UTF8=ACCEPT (RFC 6855) for clients that ENABLE it.
    pub utf8: bool,
}

impl Extensions {
    /// None of them.
    pub const NONE: Extensions = Extensions {
        acl: false,
        binary: false,
        catenate: false,
        children: false,
        compress: false,
        condstore: false,
        context: false,
        create_special_use: false,
        i18n: false,
        language: false,
        in_progress: false,
        list_extended: false,
        literal_plus: false,
        metadata: false,
        metadata_server: false,
        moves: false,
        multiappend: false,
        multisearch: false,
        notify: false,
        object_id: false,
        partial: false,
        qresync: false,
        preview: false,
        quota: false,
        quota_set: false,
        replace: false,
        rev2: false,
        save_date: false,
        sort: false,
        special_use: false,
        status_size: false,
        thread: false,
        uid_only: false,
        unauthenticate: false,
        utf8: false,
    };

    /// Whether COMPRESS=DEFLATE can be asked for.
    pub const fn offers_compress(&self) -> bool {
        self.compress && !self.unauthenticate
    }

    /// Whether QRESYNC and what it builds on is there.
    pub const fn offers_qresync(&self) -> bool {
        self.qresync && self.condstore
    }

    /// Whether IMAP4rev2 and all that is a part of it is there.
    pub const fn offers_rev2(&self) -> bool {
        self.rev2 && self.binary && self.list_extended && self.moves && self.special_use && self.status_size
    }
}

impl Default for Extensions {
    fn default() -> Self {
        Extensions {
            acl: true,
            binary: true,
            catenate: true,
            children: true,
            compress: false,
            condstore: true,
            context: true,
            create_special_use: true,
            i18n: true,
            language: true,
            in_progress: true,
            list_extended: true,
            literal_plus: true,
            metadata: true,
            metadata_server: true,
            moves: true,
            multiappend: true,
            multisearch: true,
            notify: true,
            object_id: true,
            partial: true,
            qresync: true,
            preview: true,
            quota: true,
            quota_set: true,
            replace: true,
            rev2: true,
            save_date: true,
            sort: true,
            special_use: true,
            status_size: true,
            thread: true,
            uid_only: true,
            unauthenticate: false,
            utf8: true,
        }
    }
}
