/// The one of `known` that was probably meant by `word`.
pub(crate) fn nearest<'k>(word: &str, known: &'k [impl AsRef<str>]) -> Option<&'k str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('_', "-");
    let word = plain(word);
    let near = |known: &&str| {
        let typed = strsim::damerau_levenshtein(&word, &plain(known)) <= (word.len() / 3).max(1);
        typed || strsim::jaro_winkler(&word, &plain(known)) >= 0.85
    };
    let score = |known: &&str| (strsim::jaro_winkler(&word, &plain(known)) * 1e6) as u64;
    known.iter().map(AsRef::as_ref).filter(near).max_by_key(score)
}

/// What to write instead of `word`: the nearest of `known`, or the list of them, or `otherwise` when there are none.
pub(crate) fn instead(word: &str, known: &[impl AsRef<str>], otherwise: &str) -> String {
    if let Some(near) = nearest(word, known) {
        return format!("did you mean \"{near}\"?");
    }
    if known.is_empty() || known.len() > 30 {
        return otherwise.to_owned();
    }
    let all: Vec<String> = known.iter().map(|known| format!("\"{}\"", known.as_ref())).collect();
    format!("known: {}", all.join(", "))
}
