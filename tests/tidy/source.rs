//! A source file as the rules see it: its text, its code without comments and literals, the paths
//! that it names, and its functions.
//!
//! A scanner for code that rustfmt has been over, not a parser of Rust: it knows comments, literals
//! and brackets, and refuses to know anything about types.

use std::fs;
use std::path::Path;

/// One file.
pub(crate) struct Source {
    /// Below the repository, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments and the insides of literals made blank, line for line.
    pub(crate) code: String,
    /// The code with what stands under `#[cfg(test)]` made blank too.
    pub(crate) shipped: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = blank_comments_and_literals(text);
        let shipped = blank_tests(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, shipped }
    }

    /// Whether it is built into something that serves.
    pub(crate) fn ships(&self) -> bool {
        !self.path.contains("tests/") && !self.path.ends_with("/tests.rs")
    }

    pub(crate) fn is_below(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

/// Every `.rs` file below the repository, sorted; what was built is none.
pub(crate) fn all(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    for place in ["build.rs", "src", "wal", "recovery", "tests"] {
        collect(root, Path::new(place), &mut found);
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.len() > 100, "the walk found only {} files", found.len());
    found
}

fn collect(root: &Path, below: &Path, found: &mut Vec<Source>) {
    let full = root.join(below);
    if full.is_dir() {
        if below.ends_with("target") || below.ends_with("corpus") {
            return;
        }
        for entry in fs::read_dir(&full).expect("a directory that can be read") {
            collect(root, &below.join(entry.expect("an entry").file_name()), found);
        }
    } else if below.extension().is_some_and(|ending| ending == "rs") {
        let text = fs::read_to_string(&full).expect("source is UTF-8");
        let path = below.to_str().expect("a path in UTF-8").replace('\\', "/");
        found.push(Source::new(&path, &text));
    }
}

/// Comments, strings and characters as spaces; every line keeps its number.
pub(crate) fn blank_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment_end(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Where the comment or literal that begins here ends; here, if none does.
fn literal_or_comment_end(chars: &[char], at: usize) -> usize {
    let starts =
        |text: &str| text.chars().enumerate().all(|(offset, c)| chars.get(at + offset) == Some(&c));
    let in_a_word = at > 0 && is_word(chars[at - 1]);
    if starts("//") {
        return position(chars, at, |c| c == '\n');
    }
    if starts("/*") {
        return block_comment_end(chars, at);
    }
    if starts("\"") {
        return quoted_end(chars, at + 1, '"');
    }
    if !in_a_word && (starts("r\"") || starts("r#")) {
        return raw_string_end(chars, at + 1);
    }
    if !in_a_word && (starts("br\"") || starts("br#")) {
        return raw_string_end(chars, at + 2);
    }
    // 'a' and '\n' are characters; 'a without a second quote is a lifetime.
    if starts("'") && (chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')) {
        return quoted_end(chars, at + 1, '\'');
    }
    at
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0;
    let mut at = from;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// `r##"..."##`, from behind the `r`. A raw identifier is no literal.
fn raw_string_end(chars: &[char], from: usize) -> usize {
    let quote = position(chars, from, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        return from;
    }
    let hashes = quote - from;
    let mut at = quote + 1;
    while at < chars.len() {
        let tail = &chars[at + 1..chars.len().min(at + 1 + hashes)];
        if chars[at] == '"' && tail.len() == hashes && tail.iter().all(|c| *c == '#') {
            return at + 1 + hashes;
        }
        at += 1;
    }
    at
}

fn position(chars: &[char], from: usize, is: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|c| is(*c)).map_or(chars.len(), |offset| from + offset)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The code without the items that only a test sees.
fn blank_tests(code: &str) -> String {
    let mut left = code.to_owned();
    while let Some(start) = left.find("#[cfg(test)]") {
        let end = start + item_end(&left[start..]);
        let blank: String =
            left[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        left.replace_range(start..end, &blank);
    }
    left
}

/// Where the item ends that begins with this text: behind its braces, or at its semicolon.
fn item_end(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && (c == ';' || c == '}') {
            return at + 1;
        }
    }
    text.len()
}

/// A path that code names, groups of `use` spread out: `a::{b, c::d}` is `a::b` and `a::c::d`.
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) parts: Vec<String>,
}

impl Named {
    pub(crate) fn begins(&self, path: &str) -> bool {
        let wanted: Vec<&str> = path.split("::").collect();
        self.parts.len() >= wanted.len() && self.parts.iter().zip(wanted).all(|(a, b)| a == b)
    }
}

/// Every path in this code, single names included.
pub(crate) fn paths(code: &str) -> Vec<Named> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].1.starts_with(is_word) {
            at = path(&tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// One path or group from here on; where it ends.
fn path(tokens: &[(usize, &str)], from: usize, before: &[String], found: &mut Vec<Named>) -> usize {
    let line = tokens[from].0;
    let mut parts = before.to_vec();
    let mut at = from;
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.1 == text);
    while tokens.get(at).is_some_and(|token| token.1.starts_with(is_word)) {
        parts.push(tokens[at].1.to_owned());
        at += 1;
        if !is(at, "::") {
            found.push(Named { line, parts });
            return at;
        }
        at += 1;
    }
    if !is(at, "{") {
        found.push(Named { line, parts });
        return at;
    }
    at += 1;
    while at < tokens.len() && !is(at, "}") {
        at = if is(at, ",") { at + 1 } else { path(tokens, at, &parts, found).max(at + 1) };
    }
    at + 1
}

/// Words, `::` and single other characters, each with its line.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let end = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            found.push((number + 1, &rest[..end]));
            rest = rest[end..].trim_start();
        }
    }
    found
}

/// A function with a body, and how many lines it takes from `fn` to its last brace.
pub(crate) struct Function {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) lines: usize,
}

pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let in_a_word = code[..start].ends_with(is_word);
        let name: String = code[start + 3..].chars().take_while(|c| is_word(*c)).collect();
        let body = &code[start..start + item_end(&code[start..])];
        if in_a_word || name.is_empty() || !body.ends_with('}') {
            continue;
        }
        let line = code[..start].matches('\n').count() + 1;
        found.push(Function { line, name, lines: body.matches('\n').count() + 1 });
    }
    found
}
