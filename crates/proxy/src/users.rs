//! Which users a route is for.

/// Patterns of users that may; `*` stands for anything, also for nothing. Letters of the other case are other letters.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AllowUsers(pub Vec<String>);

impl AllowUsers {
    /// Whether this user may; one that nobody knows may not, whatever the patterns are.
    pub fn allows(&self, user: Option<&str>) -> bool {
        user.is_some_and(|user| self.0.iter().any(|pattern| matches(pattern.as_bytes(), user.as_bytes())))
    }
}

/// Whether all of `text` is as `pattern` says. Going back to the last `*` alone is enough: what an earlier one could take
/// besides, the last can take too. So the time is bounded by the product of both lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(byte) if *byte == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (at, read) = (place + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_hold_for_the_whole_name() {
        let cases = [
            ("admin", "admin", true),
            ("admin", "Admin", false),
            ("admin", "admins", false),
            ("admin", "", false),
            ("rapi-*", "rapi-7", true),
            ("rapi-*", "rapi-", true),
            ("rapi-*", "xrapi-7", false),
            ("node*.example.org", "node7.example.org", true),
            ("node*.example.org", "node.example.org", true),
            ("node*.example.org", "node7.example.org.evil", false),
            ("node*.example.org", "node7.example.com", false),
            ("node*.example.org", "nodeXexample.org", false),
            ("node*.example.org", "node.example.org.example.org", true),
            ("*", "", true),
            ("*", "ü", true),
            ("", "", true),
            ("", "a", false),
            ("**a*", "bab", true),
            ("a*b*c", "abcbbc", true),
            ("a*b*c", "abcbb", false),
            ("*ab", "aab", true),
            ("?", "a", false),
        ];
        for (pattern, user, expected) in cases {
            assert_eq!(AllowUsers(vec![pattern.to_owned()]).allows(Some(user)), expected, "{pattern} {user}");
        }
    }

    #[test]
    fn one_pattern_of_several_is_enough_and_nobody_is_none_of_them() {
        let allowed = AllowUsers(vec!["rapi-*".to_owned(), "admin".to_owned()]);
        assert!(allowed.allows(Some("admin")) && allowed.allows(Some("rapi-1")) && !allowed.allows(Some("node1")));
        assert!(!AllowUsers(vec!["*".to_owned()]).allows(None));
        assert!(!AllowUsers::default().allows(Some("admin")));
    }

    #[test]
    fn many_stars_take_no_time_to_speak_of() {
        let pattern = "*a".repeat(500) + "b";
        assert!(!AllowUsers(vec![pattern]).allows(Some(&"a".repeat(5000))));
    }
}
