//! Matching as RE2 does, with the crate `regex`, in time linear in the text.

mod emit;
mod parse;

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// Bytes that a compiled pattern may take: more than one whose tree is of the greatest size needs.
const SIZE_LIMIT: usize = 1 << 30;

/// A pattern that matches a string where RE2's `FullMatch` does.
pub fn full_match(pattern: &str) -> Result<Regex> {
    let tree = parse::parse(pattern)?;
    let compiled = RegexBuilder::new(&emit::emit(&tree)).size_limit(SIZE_LIMIT).nest_limit(u32::MAX).build();
    compiled.map_err(|error| Error::internal(format!("a pattern as the crate regex has it: {error}")))
}

#[cfg(test)]
mod tests {
    use super::full_match;

    fn matches(pattern: &str, text: &str) -> bool {
        full_match(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(text)
    }

    #[test]
    fn patterns_match_as_in_re2() {
        for (pattern, text) in [
            (r"www\.[\w.-]+\.\bcom\b", "www.google.com"),
            (r"(?i)k", "\u{212a}"),
            (r"(?i)\w", "\u{17f}"),
            (r"a{,3}", "a{,3}"),
            (r"\Qa*b\E+", "a*bbb"),
            (r"[[:alpha:]-]+", "a-b"),
            (r"[]a]+", "]a"),
            (r"[\d-z]+", "1-z"),
            (r"\12", "\n"),
            (r"(?m)a$\nb", "a\nb"),
            (r"\pL\p{^Greek}", "αx"),
            (r"é\B", "é"),
            ("", ""),
            ("a|", ""),
            (r"x{2}{", "xx{"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text:?}");
        }
        for (pattern, text) in [
            (r"a$", "a\n"),
            (r"\s", "\u{a0}"),
            (r"\s", "\u{b}"),
            (r".", "\n"),
            (r"(?i)\W", "\u{17f}"),
            (r"(?i)ß", "SS"),
            (r"\p{Cs}", "a"),
            (r"[^\x00-\x{10FFFF}]", "a"),
            (r"\pC", "\u{378}"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text:?}");
        }
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for pattern in [
            "a**",
            "a*+",
            "a*??",
            "a{2}{3}",
            "*",
            "(*a)",
            "a|*",
            "(?i)*",
            "a{1001}",
            "a{2,1}",
            "(a{100}){11}",
            r"\1",
            r"\8",
            r"\x{110000}",
            r"\x{}",
            r"\x1",
            r"\Z",
            r"\h",
            "[]",
            "[b-a]",
            r"[a-\d]",
            "[[:foo:]]",
            r"[\b]",
            "(?-)",
            "(?i-)",
            "(?x)",
            "(?=a)",
            "(?P<>a)",
            "(?P=n)",
            ")",
            "(",
            "\\",
            r"\p{greek}",
            r"\pX",
            r"\é",
            r"\C",
        ] {
            assert!(full_match(pattern).is_err(), "{pattern}");
        }
        assert!(full_match(&format!("{}a{}", "(".repeat(100), ")".repeat(100))).is_ok());
        assert!(full_match(&format!("{}a{}", "(".repeat(101), ")".repeat(101))).is_err());
        assert!(full_match(r"\pL{400}").is_err());
        assert!(full_match(r"(?:a{10}b{10}){100}").is_ok());
    }
}
