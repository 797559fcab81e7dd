//! Case of characters by Unicode, without regard to language or neighbours: each becomes what `SpecialCasing.txt` and
//! `UnicodeData.txt` say of it alone (the German sharp s in upper case is SS, sigma in lower case never final).

/// Characters that had no other case in Unicode 14.0 and got one later; so that the answer does not depend on the version that
/// a panel is built with, they keep to themselves.
const LATER: &[(char, char)] = &[
    ('\u{19b}', '\u{19b}'),
    ('\u{264}', '\u{264}'),
    ('\u{1c89}', '\u{1c8a}'),
    ('\u{a7cb}', '\u{a7cf}'),
    ('\u{a7d2}', '\u{a7d5}'),
    ('\u{a7da}', '\u{a7dc}'),
    ('\u{10d50}', '\u{10d65}'),
    ('\u{10d70}', '\u{10d85}'),
    ('\u{16ea0}', '\u{16eb8}'),
    ('\u{16ebb}', '\u{16ed3}'),
];

fn is_later(c: char) -> bool {
    c >= LATER[0].0 && LATER.iter().any(|&(first, last)| (first..=last).contains(&c))
}

pub fn lower(text: &str) -> String {
    mapped(text, |c, out| out.extend(c.to_lowercase()))
}

pub fn upper(text: &str) -> String {
    mapped(text, |c, out| out.extend(c.to_uppercase()))
}

fn mapped(text: &str, map: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_later(c) { out.push(c) } else { map(c, &mut out) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{lower, upper};

    #[test]
    fn case_is_of_characters_alone() {
        assert_eq!(upper("straße ǆ ŉ"), "STRASSE Ǆ ʼN");
        assert_eq!(lower("ΑΣ İ ẞ"), "ασ i\u{307} ß");
        assert_eq!(upper("ƛɤ\u{a7cb}"), "ƛɤ\u{a7cb}");
    }
}
