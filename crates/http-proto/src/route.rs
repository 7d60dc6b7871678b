use units::Network;

/// One condition on a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The Host field without its port is one of these (lower case); `*.example.org` stands for one or more labels.
    Host(Vec<String>),
    /// The path, decoded and with its dot segments and doubled slashes resolved, is below one of these:
    /// `/rpc/` matches `/rpc/x`, and `/rpc` matches `/rpc` and `/rpc/x`, not `/rpcx`.
    PathPrefix(Vec<String>),
    /// The path, likewise resolved, is one of these.
    PathExact(Vec<String>),
    /// The method is one of these (methods are case-sensitive).
    Method(Vec<String>),
    /// A field of this name (lower case) is there; with a value, one of its lines equals it.
    Header {
        /// Lower case.
        name: String,
        /// Compared to the letter; `None`: any.
        value: Option<String>,
    },
    /// The client's address is in one of these.
    Client(Vec<Network>),
}

