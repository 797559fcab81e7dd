//! RE2's syntax, read into a tree. It is RE2's own parser in what it takes and refuses, except for what docs/rulings.md says.

use crate::error::{Error, Result};

/// Nested groups are no deeper than this.
const MAX_DEPTH: usize = 100;
/// Repetitions, also nested ones taken together, are no more than this.
const MAX_REPEAT: u32 = 1000;
/// Leaves of the tree with its repetitions written out, a range of characters counting as one, are no more than this.
const MAX_SIZE: u64 = 200_000;
/// What a Unicode class counts as.
const UNICODE_CLASS_SIZE: u64 = 500;
pub const LAST_CHAR: u32 = 0x10ffff;

#[derive(Clone, Debug)]
pub enum Node {
    Class(Class),
    Assertion(Assertion),
    Concat(Vec<Node>),
    Alternate(Vec<Node>),
    /// At least and, if bounded, at most so many times. `counted` is false for `*`, `+` and `?`.
    Repeat {
        inner: Box<Node>,
        least: u32,
        most: Option<u32>,
        counted: bool,
    },
}

/// A set of characters: one of the items, or none of them. With `fold`, characters that differ in case alone are one.
#[derive(Clone, Debug)]
pub struct Class {
    pub items: Vec<Item>,
    pub negated: bool,
    pub fold: bool,
}

#[derive(Clone, Debug)]
pub enum Item {
    Ranges {
        ranges: Vec<(u32, u32)>,
        negated: bool,
    },
    /// A general category or a script.
    Unicode {
        name: String,
        negated: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assertion {
    BeginText,
    EndText,
    BeginLine,
    EndLine,
    WordBoundary,
    NoWordBoundary,
}

#[derive(Clone, Copy, Default)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_matches_newline: bool,
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    flags: Flags,
}

/// Reads a pattern; refuses what is not RE2's syntax.
pub fn parse(pattern: &str) -> Result<Node> {
    let mut parser = Parser { chars: pattern.chars().collect(), at: 0, flags: Flags::default() };
    let node = parser.alternatives(0)?;
    match parser.peek() {
        Some(_) => Err(parser.wrong("unexpected )")),
        None if size(&node) > MAX_SIZE => Err(Error::resource_limit("the pattern is too large")),
        None => Ok(node),
    }
}

impl Parser {
    fn wrong(&self, why: &str) -> Error {
        Error::invalid_model(format!("pattern is not RE2's syntax: {why}, before character {}", self.at))
    }

    fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let found = self.peek();
        self.at += usize::from(found.is_some());
        found
    }

    /// Takes `text` if it comes next.
    fn takes(&mut self, text: &str) -> bool {
        let comes = text.chars().enumerate().all(|(ahead, c)| self.peek_at(ahead) == Some(c));
        self.at += if comes { text.chars().count() } else { 0 };
        comes
    }

    fn alternatives(&mut self, depth: usize) -> Result<Node> {
        let mut branches = vec![self.concat(depth)?];
        while self.takes("|") {
            branches.push(self.concat(depth)?);
        }
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Alternate(branches) })
    }

    fn concat(&mut self, depth: usize) -> Result<Node> {
        let mut nodes = Vec::new();
        // Whether the last token was a repetition: these do not stack.
        let mut repeated = false;
        while let Some(c) = self.peek().filter(|c| !matches!(c, '|' | ')')) {
            let after_repetition = std::mem::take(&mut repeated);
            if let Some((least, most, counted)) = self.repetition()? {
                self.takes("?"); // which of two matches is preferred does not matter here
                if after_repetition {
                    return Err(self.wrong("bad repetition operator"));
                }
                let inner = nodes.pop().ok_or_else(|| self.wrong("no argument for repetition operator"))?;
                nodes.push(self.repeat(inner, least, most, counted)?);
                repeated = true;
                continue;
            }
            self.at += 1;
            match c {
                '(' => nodes.extend(self.group(depth)?),
                '[' => nodes.push(self.class()?),
                '\\' => self.escape(&mut nodes)?,
                '.' => nodes.push(self.any()),
                '^' if self.flags.multi_line => nodes.push(Node::Assertion(Assertion::BeginLine)),
                '^' => nodes.push(Node::Assertion(Assertion::BeginText)),
                '$' if self.flags.multi_line => nodes.push(Node::Assertion(Assertion::EndLine)),
                '$' => nodes.push(Node::Assertion(Assertion::EndText)),
                literal => nodes.push(self.literal(literal.into())),
            }
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Concat(nodes) })
    }

    /// `*`, `+`, `?`, `{n}`, `{n,}` or `{n,m}`, if one comes next; other braces are literals.
    fn repetition(&mut self) -> Result<Option<(u32, Option<u32>, bool)>> {
        if self.takes("*") {
            return Ok(Some((0, None, false)));
        }
        if self.takes("+") {
            return Ok(Some((1, None, false)));
        }
        if self.takes("?") {
            return Ok(Some((0, Some(1), false)));
        }
        let start = self.at;
        let counts = if self.takes("{") { self.counts() } else { None };
        let Some((least, most)) = counts else {
            self.at = start;
            return Ok(None);
        };
        if least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least) {
            return Err(self.wrong("invalid repetition size"));
        }
        Ok(Some((least, most, true)))
    }

    /// What follows the brace, the closing one included.
    fn counts(&mut self) -> Option<(u32, Option<u32>)> {
        let least = self.integer()?;
        let most = match self.takes(",") {
            false => Some(least),
            true if self.peek() == Some('}') => None,
            true => Some(self.integer()?),
        };
        self.takes("}").then_some((least, most))
    }

    /// Digits without a leading zero, below 10^9.
    fn integer(&mut self) -> Option<u32> {
        let digit = |parser: &Parser| parser.peek().and_then(|c| c.to_digit(10));
        let first = digit(self)?;
        self.at += 1;
        if first == 0 && digit(self).is_some() {
            return None;
        }
        let mut number = first;
        while let Some(next) = digit(self) {
            if number >= 100_000_000 {
                return None;
            }
            number = number * 10 + next;
            self.at += 1;
        }
        Some(number)
    }

    fn repeat(&self, inner: Node, least: u32, most: Option<u32>, counted: bool) -> Result<Node> {
        let node = Node::Repeat { inner: Box::new(inner), least, most, counted };
        if counted && (least >= 2 || most.is_some_and(|most| most >= 2)) && repeats_left(&node, MAX_REPEAT) == 0 {
            return Err(self.wrong("invalid repetition size: nested repetitions are too many"));
        }
        Ok(node)
    }

    /// After `(`: a group, or flags for the rest of this one.
    fn group(&mut self, depth: usize) -> Result<Option<Node>> {
        if depth >= MAX_DEPTH {
            return Err(Error::resource_limit(format!("the pattern nests more than {MAX_DEPTH} groups")));
        }
        let outer = self.flags;
        if self.takes("?") {
            let opens = if self.takes("P<") || self.takes("<") {
                self.group_name()?;
                true
            } else {
                self.group_flags()?
            };
            if !opens {
                return Ok(None);
            }
        }
        let node = self.alternatives(depth + 1)?;
        if !self.takes(")") {
            return Err(self.wrong("missing )"));
        }
        self.flags = outer;
        // A group of nothing is still something to repeat.
        Ok(Some(node))
    }

    fn group_name(&mut self) -> Result<()> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.at += 1;
        }
        if self.at == start || !self.takes(">") {
            return Err(self.wrong("invalid named capture group"));
        }
        Ok(())
    }

    /// Flags up to `:`, which opens a group, or `)`.
    fn group_flags(&mut self) -> Result<bool> {
        let (mut on, mut dangling) = (true, false);
        let mut flags = self.flags;
        loop {
            let c = self.next();
            match c {
                Some('i') => flags.fold = on,
                Some('m') => flags.multi_line = on,
                Some('s') => flags.dot_matches_newline = on,
                Some('U') => {} // which of two matches is preferred does not matter here
                Some('-') if on => on = false,
                Some(':' | ')') if !dangling => {
                    self.flags = flags;
                    return Ok(c == Some(':'));
                }
                _ => return Err(self.wrong("invalid perl operator")),
            }
            dangling = c == Some('-');
        }
    }

    fn any(&self) -> Node {
        let ranges = if self.flags.dot_matches_newline { Vec::new() } else { vec![(10, 10)] };
        Node::Class(Class { items: vec![Item::Ranges { ranges, negated: true }], negated: false, fold: false })
    }

    fn literal(&self, code: u32) -> Node {
        self.one(Item::Ranges { ranges: vec![(code, code)], negated: false })
    }

    fn one(&self, item: Item) -> Node {
        Node::Class(Class { items: vec![item], negated: false, fold: self.flags.fold })
    }

    /// After a backslash outside of a class.
    fn escape(&mut self, nodes: &mut Vec<Node>) -> Result<()> {
        let c = self.next().ok_or_else(|| self.wrong("trailing \\"))?;
        let assertion = match c {
            'A' => Some(Assertion::BeginText),
            'z' => Some(Assertion::EndText),
            'b' => Some(Assertion::WordBoundary),
            'B' => Some(Assertion::NoWordBoundary),
            _ => None,
        };
        if let Some(assertion) = assertion {
            nodes.push(Node::Assertion(assertion));
            return Ok(());
        }
        match c {
            'Q' => {
                while !self.takes("\\E") {
                    let Some(literal) = self.next() else { break };
                    nodes.push(self.literal(literal.into()));
                }
            }
            'C' => return Err(Error::unsupported("\\C in a pattern: strings are matched by characters, not by bytes")),
            _ => match self.class_escape(c)? {
                Some(item) => nodes.push(self.one(item)),
                None => {
                    let code = self.character_escape(c)?;
                    nodes.push(self.literal(code));
                }
            },
        }
        Ok(())
    }

    /// `\d`, `\w`, `\s`, `\p{..}` and their complements.
    fn class_escape(&mut self, c: char) -> Result<Option<Item>> {
        let ranges: &[(u8, u8)] = match c.to_ascii_lowercase() {
            'd' => &[(b'0', b'9')],
            's' => &[(b'\t', b'\n'), (0xc, b'\r'), (b' ', b' ')],
            'w' => &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')],
            'p' => return self.unicode_class(c == 'P').map(Some),
            _ => return Ok(None),
        };
        Ok(Some(ascii(ranges, c.is_ascii_uppercase())))
    }

    /// After `\p` or `\P`: a letter, or a name in braces, which `^` negates.
    fn unicode_class(&mut self, mut negated: bool) -> Result<Item> {
        let wrong = "invalid character class range";
        let mut name = String::new();
        match self.next() {
            Some('{') => loop {
                match self.next() {
                    Some('}') => break,
                    Some(c) => name.push(c),
                    None => return Err(self.wrong(wrong)),
                }
            },
            Some(letter) => name.push(letter),
            None => return Err(self.wrong(wrong)),
        }
        if let Some(rest) = name.strip_prefix('^') {
            name = rest.to_owned();
            negated = !negated;
        }
        if name == "Any" {
            return Ok(Item::Ranges { ranges: vec![(0, LAST_CHAR)], negated });
        }
        if !super::emit::is_unicode_class(&name) {
            return Err(self.wrong(wrong));
        }
        Ok(Item::Unicode { name, negated })
    }

    /// The character that an escape stands for, also in a class.
    fn character_escape(&mut self, c: char) -> Result<u32> {
        let octal = |parser: &Parser| parser.peek().and_then(|c| c.to_digit(8));
        match c {
            '1'..='7' if octal(self).is_none() => {}
            '0'..='7' => {
                let mut code = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = octal(self) else { break };
                    code = code * 8 + digit;
                    self.at += 1;
                }
                return Ok(code);
            }
            'x' => {
                if let Some(code) = self.hexadecimal() {
                    return Ok(code);
                }
            }
            'a' => return Ok(7),
            'f' => return Ok(12),
            'n' => return Ok(10),
            'r' => return Ok(13),
            't' => return Ok(9),
            'v' => return Ok(11),
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => return Ok(other.into()),
            _ => {}
        }
        Err(self.wrong("invalid escape sequence"))
    }

    /// After `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        if !self.takes("{") {
            let high = self.next()?.to_digit(16)?;
            return Some(high * 16 + self.next()?.to_digit(16)?);
        }
        let mut code = self.next()?.to_digit(16)?;
        while !self.takes("}") {
            code = code * 16 + self.next()?.to_digit(16)?;
            if code > LAST_CHAR {
                return None;
            }
        }
        Some(code)
    }

    /// After `[`.
    fn class(&mut self) -> Result<Node> {
        let negated = self.takes("^");
        let mut items = Vec::new();
        // A bracket that comes first is a literal.
        let mut first = true;
        while first || self.peek() != Some(']') {
            if self.peek().is_none() {
                return Err(self.wrong("missing ]"));
            }
            first = false;
            if let Some(item) = self.posix_class()? {
                items.push(item);
                continue;
            }
            if self.peek() == Some('\\')
                && let Some(c) = self.peek_at(1).filter(|c| matches!(c, 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P'))
            {
                self.at += 2;
                items.extend(self.class_escape(c)?);
                continue;
            }
            let low = self.class_character()?;
            let mut high = low;
            if self.peek() == Some('-') && self.peek_at(1).is_some_and(|c| c != ']') {
                self.at += 1;
                high = self.class_character()?;
            }
            if high < low {
                return Err(self.wrong("invalid character class range"));
            }
            items.push(Item::Ranges { ranges: vec![(low, high)], negated: false });
        }
        self.at += 1;
        Ok(Node::Class(Class { items, negated, fold: self.flags.fold }))
    }

    fn class_character(&mut self) -> Result<u32> {
        match self.next() {
            Some('\\') => {
                let c = self.next().ok_or_else(|| self.wrong("trailing \\"))?;
                self.character_escape(c)
            }
            Some(c) => Ok(c.into()),
            None => Err(self.wrong("missing ]")),
        }
    }

    /// `[:alpha:]` and the like. Without `:]` in the rest of the pattern, the bracket is a literal.
    fn posix_class(&mut self) -> Result<Option<Item>> {
        let rest = &self.chars[self.at..];
        let close = (2..rest.len().saturating_sub(1)).find(|&i| rest[i] == ':' && rest[i + 1] == ']');
        let Some(close) = close.filter(|_| rest.starts_with(&['[', ':'])) else { return Ok(None) };
        let name: String = rest[2..close].iter().collect();
        let (negated, name) = name.strip_prefix('^').map_or((false, name.as_str()), |name| (true, name));
        let ranges: &[(u8, u8)] = match name {
            "alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
            "alpha" => &[(b'A', b'Z'), (b'a', b'z')],
            "ascii" => &[(0, 0x7f)],
            "blank" => &[(b'\t', b'\t'), (b' ', b' ')],
            "cntrl" => &[(0, 0x1f), (0x7f, 0x7f)],
            "digit" => &[(b'0', b'9')],
            "graph" => &[(b'!', b'~')],
            "lower" => &[(b'a', b'z')],
            "print" => &[(b' ', b'~')],
            "punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
            "space" => &[(b'\t', b'\r'), (b' ', b' ')],
            "upper" => &[(b'A', b'Z')],
            "word" => &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')],
            "xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
            _ => return Err(self.wrong("invalid character class range")),
        };
        self.at += close + 2;
        Ok(Some(ascii(ranges, negated)))
    }
}

fn ascii(ranges: &[(u8, u8)], negated: bool) -> Item {
    Item::Ranges { ranges: ranges.iter().map(|&(low, high)| (low.into(), high.into())).collect(), negated }
}

/// What is left of `left` repetitions after those of a tree: each level divides it. 0 is too few.
fn repeats_left(node: &Node, left: u32) -> u32 {
    match node {
        Node::Class(_) | Node::Assertion(_) => left,
        Node::Concat(nodes) | Node::Alternate(nodes) => {
            nodes.iter().map(|node| repeats_left(node, left)).min().unwrap_or(left)
        }
        Node::Repeat { inner, least, most, counted } => {
            let times = if *counted { most.unwrap_or(*least).max(1) } else { 1 };
            let own = left / times;
            repeats_left(inner, own).min(own)
        }
    }
}

/// Leaves of a tree with its repetitions written out.
fn size(node: &Node) -> u64 {
    match node {
        Node::Class(class) => {
            let items = class.items.iter().map(|item| match item {
                Item::Ranges { ranges, .. } => ranges.len() as u64,
                Item::Unicode { .. } => UNICODE_CLASS_SIZE,
            });
            1 + items.sum::<u64>()
        }
        Node::Assertion(_) => 1,
        Node::Concat(nodes) | Node::Alternate(nodes) => {
            nodes.iter().map(size).fold(1, |sum, size| sum.saturating_add(size))
        }
        Node::Repeat { inner, least, most, .. } => size(inner).saturating_mul(most.unwrap_or(*least).max(1).into()),
    }
}
