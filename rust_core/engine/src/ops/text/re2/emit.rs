//! A tree as a pattern of the crate `regex`, in which everything is spelled out: what the two read differently does not occur.

use std::fmt::Write;

use super::parse::{Assertion, Class, Item, LAST_CHAR, Node};

/// General categories by RE2's names. It has neither those of several words nor the unassigned characters, and strings hold no
/// surrogates (Cs).
const CATEGORIES: &[&str] = &[
    "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P",
    "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
];

/// Whether a name is a category or a script of Unicode.
pub fn is_unicode_class(name: &str) -> bool {
    CATEGORIES.contains(&name) || is_script(name)
}

/// Scripts are those of the crate, under their long names alone.
fn is_script(name: &str) -> bool {
    let long = name.len() > 1
        && name.chars().next().is_some_and(|c| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    long && SCRIPTS.binary_search(&name).is_ok()
}

/// The pattern that matches all of a string where the tree does.
pub fn emit(node: &Node) -> String {
    let mut out = String::from("\\A(?:");
    write_node(node, &mut out);
    out.push_str(")\\z");
    out
}

fn write_node(node: &Node, out: &mut String) {
    match node {
        Node::Class(class) => write_class(class, out),
        Node::Assertion(assertion) => out.push_str(match assertion {
            Assertion::BeginText => "\\A",
            Assertion::EndText => "\\z",
            Assertion::BeginLine => "(?m:^)",
            Assertion::EndLine => "(?m:$)",
            Assertion::WordBoundary => "(?-u:\\b)",
            Assertion::NoWordBoundary => "(?-u:\\B)",
        }),
        Node::Concat(nodes) => nodes.iter().for_each(|node| write_node(node, out)),
        Node::Alternate(nodes) => {
            out.push_str("(?:");
            for (index, node) in nodes.iter().enumerate() {
                out.push_str(if index > 0 { "|" } else { "" });
                write_node(node, out);
            }
            out.push(')');
        }
        Node::Repeat { inner, least, most, .. } => {
            out.push_str("(?:");
            write_node(inner, out);
            let most = most.map_or_else(String::new, |most| most.to_string());
            let _ = write!(out, "){{{least},{most}}}");
        }
    }
}

fn write_class(class: &Class, out: &mut String) {
    out.push_str(if class.fold { "(?i:" } else { "(?:" });
    out.push_str(if class.negated { "[^" } else { "[" });
    // A class may be empty: the intersection of two characters is.
    out.push_str("[a&&b]");
    for item in &class.items {
        match item {
            Item::Ranges { ranges, negated } => {
                out.push_str(if *negated { "[^" } else { "[" });
                out.push_str("[a&&b]");
                for &(low, high) in ranges {
                    write_range(low, high, out);
                }
                out.push(']');
            }
            Item::Unicode { name, negated } => {
                out.push_str(if *negated { "[^" } else { "[" });
                match name.as_str() {
                    "C" => out.push_str("\\p{Cc}\\p{Cf}\\p{Co}"),
                    "Cs" => out.push_str("[a&&b]"),
                    script if is_script(script) => {
                        let _ = write!(out, "\\p{{Script={script}}}");
                    }
                    category => {
                        let _ = write!(out, "\\p{{{category}}}");
                    }
                }
                out.push(']');
            }
        }
    }
    out.push_str("])");
}

/// A range without the surrogates, which no string holds.
fn write_range(low: u32, high: u32, out: &mut String) {
    for (low, high) in [(low, high.min(0xd7ff)), (low.max(0xe000), high.min(LAST_CHAR))] {
        if low <= high {
            let _ = write!(out, "\\x{{{low:X}}}-\\x{{{high:X}}}");
        }
    }
}

/// Long names of the scripts of Unicode 16.0, sorted.
#[rustfmt::skip]
const SCRIPTS: &[&str] = &[
    "Adlam", "Ahom", "Anatolian_Hieroglyphs", "Arabic", "Armenian", "Avestan", "Balinese", "Bamum", "Bassa_Vah",
    "Batak", "Bengali", "Bhaiksuki", "Bopomofo", "Brahmi", "Braille", "Buginese", "Buhid", "Canadian_Aboriginal",
    "Carian", "Caucasian_Albanian", "Chakma", "Cham", "Cherokee", "Chorasmian", "Common", "Coptic", "Cuneiform",
    "Cypriot", "Cypro_Minoan", "Cyrillic", "Deseret", "Devanagari", "Dives_Akuru", "Dogra", "Duployan",
    "Egyptian_Hieroglyphs", "Elbasan", "Elymaic", "Ethiopic", "Garay", "Georgian", "Glagolitic", "Gothic",
    "Grantha", "Greek", "Gujarati", "Gunjala_Gondi", "Gurmukhi", "Gurung_Khema", "Han", "Hangul", "Hanifi_Rohingya",
    "Hanunoo", "Hatran", "Hebrew", "Hiragana", "Imperial_Aramaic", "Inherited", "Inscriptional_Pahlavi",
    "Inscriptional_Parthian", "Javanese", "Kaithi", "Kannada", "Katakana", "Kawi", "Kayah_Li", "Kharoshthi",
    "Khitan_Small_Script", "Khmer", "Khojki", "Khudawadi", "Kirat_Rai", "Lao", "Latin", "Lepcha", "Limbu",
    "Linear_A", "Linear_B", "Lisu", "Lycian", "Lydian", "Mahajani", "Makasar", "Malayalam", "Mandaic", "Manichaean",
    "Marchen", "Masaram_Gondi", "Medefaidrin", "Meetei_Mayek", "Mende_Kikakui", "Meroitic_Cursive",
    "Meroitic_Hieroglyphs", "Miao", "Modi", "Mongolian", "Mro", "Multani", "Myanmar", "Nabataean", "Nag_Mundari",
    "Nandinagari", "New_Tai_Lue", "Newa", "Nko", "Nushu", "Nyiakeng_Puachue_Hmong", "Ogham", "Ol_Chiki", "Ol_Onal",
    "Old_Hungarian", "Old_Italic", "Old_North_Arabian", "Old_Permic", "Old_Persian", "Old_Sogdian",
    "Old_South_Arabian", "Old_Turkic", "Old_Uyghur", "Oriya", "Osage", "Osmanya", "Pahawh_Hmong", "Palmyrene",
    "Pau_Cin_Hau", "Phags_Pa", "Phoenician", "Psalter_Pahlavi", "Rejang", "Runic", "Samaritan", "Saurashtra",
    "Sharada", "Shavian", "Siddham", "SignWriting", "Sinhala", "Sogdian", "Sora_Sompeng", "Soyombo", "Sundanese",
    "Sunuwar", "Syloti_Nagri", "Syriac", "Tagalog", "Tagbanwa", "Tai_Le", "Tai_Tham", "Tai_Viet", "Takri", "Tamil",
    "Tangsa", "Tangut", "Telugu", "Thaana", "Thai", "Tibetan", "Tifinagh", "Tirhuta", "Todhri", "Toto",
    "Tulu_Tigalari", "Ugaritic", "Vai", "Vithkuqi", "Wancho", "Warang_Citi", "Yezidi", "Yi", "Zanabazar_Square",
];
