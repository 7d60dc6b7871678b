//! Answers to a certificate authority that looks whether a name is ours (RFC 8555 §8.3): before every route, and only
//! while it may look.

use arc_swap::ArcSwap;

/// Below this path an authority looks (RFC 8555 §8.3, RFC 8615).
const PLACE: &str = "/.well-known/acme-challenge/";

/// What is to be found there, by the last part of the path.
#[derive(Debug, Default)]
pub(crate) struct Proofs(ArcSwap<Vec<(String, String)>>);

impl Proofs {
    /// Shows exactly these from now on.
    pub(crate) fn show(&self, proofs: Vec<(String, String)>) {
        self.0.store(std::sync::Arc::new(proofs));
    }

    /// What answers a request for `path_and_query`, if it is one of an authority's.
    pub(crate) fn find(&self, path_and_query: &str) -> Option<String> {
        let token = path_and_query.strip_prefix(PLACE)?;
        self.0.load().iter().find(|(its, _)| its == token).map(|(_, content)| content.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_shown_now_is_found_and_only_in_its_place() {
        let proofs = Proofs::default();
        assert_eq!(proofs.find("/.well-known/acme-challenge/abc"), None);
        proofs.show(vec![("abc".to_owned(), "abc.thumb".to_owned())]);
        assert_eq!(proofs.find("/.well-known/acme-challenge/abc").as_deref(), Some("abc.thumb"));
        for other in ["/.well-known/acme-challenge/ab", "/.well-known/acme-challenge/abcd", "/abc", "/"] {
            assert_eq!(proofs.find(other), None, "{other}");
        }
        proofs.show(Vec::new());
        assert_eq!(proofs.find("/.well-known/acme-challenge/abc"), None);
    }
}
