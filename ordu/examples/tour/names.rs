//! The names of the children: checked whole before anything starts.

use std::collections::HashMap;
use std::path::Path;
use std::{fs, io};

/// Most bytes of a name that the cluster takes.
const NAME_BYTES_MAX: usize = 512;

/// The names that come with the tour: 5,000 that packages really have.
const BUNDLED: &str = include_str!("names.txt");

/// Returns the names in `file`, one a line, or the bundled ones.
///
/// A carriage return before a line's end belongs to the end.
///
/// # Errors
///
/// Says what is wrong with the file, and in which line.
pub(crate) fn read(file: Option<&Path>) -> Result<Vec<String>, NamesError> {
    match file {
        None => parse(BUNDLED.as_bytes()),
        Some(file) => parse(&fs::read(file).map_err(NamesError::Unreadable)?),
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<String>, NamesError> {
    let mut names = Vec::new();
    let mut lines = HashMap::new();
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Err(NamesError::NoNames);
    }
    for (line, bytes) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let Ok(name) = std::str::from_utf8(bytes) else {
            return Err(NamesError::NotUtf8 { line });
        };
        if name.is_empty() {
            return Err(NamesError::Empty { line });
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(NamesError::TooLong { line, bytes: name.len() });
        }
        if let Some(first) = lines.insert(name, line) {
            return Err(NamesError::Duplicate { line, name: name.to_owned(), first });
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Why a file is no list of names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NamesError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// There is nothing in it.
    #[error("it is empty; give it one name a line")]
    NoNames,
    /// A line is not text.
    #[error("line {line} is not UTF-8")]
    NotUtf8 { line: usize },
    /// A line has nothing in it.
    #[error("line {line} is empty; give it a name or leave it out")]
    Empty { line: usize },
    /// A name is longer than the cluster takes.
    #[error("the name in line {line} has {bytes} bytes; {NAME_BYTES_MAX} are the most")]
    TooLong { line: usize, bytes: usize },
    /// A name is there twice.
    #[error("the name {name:?} in line {line} is in line {first} already")]
    Duplicate { line: usize, name: String, first: usize },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        parse(bytes).unwrap_err().to_string()
    }

    #[test]
    fn the_bundled_names_are_fine() {
        assert_eq!(read(None).unwrap().len(), 5_000);
    }

    #[test]
    fn lines_may_end_in_either_way_and_the_last_need_not() {
        assert_eq!(parse(b"a\nb\n").unwrap(), ["a", "b"]);
        assert_eq!(parse(b"a\r\nb").unwrap(), ["a", "b"]);
        assert_eq!(parse("ä b\n".as_bytes()).unwrap(), ["ä b"]);
    }

    #[test]
    fn whatever_is_wrong_is_named_with_its_line() {
        assert_eq!(refusal(b""), "it is empty; give it one name a line");
        assert_eq!(refusal(b"\n"), "it is empty; give it one name a line");
        assert!(refusal(b"a\n\nb\n").starts_with("line 2 is empty"));
        assert!(refusal(b"a\nb\n\n").starts_with("line 3 is empty"));
        assert_eq!(refusal(b"a\n\xff\n"), "line 2 is not UTF-8");
        assert_eq!(refusal(b"a\nb\na\n"), "the name \"a\" in line 3 is in line 1 already");
    }

    #[test]
    fn a_name_may_be_as_long_as_the_cluster_takes_and_no_longer() {
        let longest = "n".repeat(NAME_BYTES_MAX);
        assert_eq!(parse(longest.as_bytes()).unwrap(), [longest.as_str()]);
        let longer = format!("a\n{longest}n\n");
        let refusal = refusal(longer.as_bytes());
        assert_eq!(refusal, "the name in line 2 has 513 bytes; 512 are the most");
    }

    #[test]
    fn a_missing_file_is_named_as_such() {
        let error = read(Some(Path::new("/nowhere/to/be/found"))).unwrap_err();
        assert!(matches!(error, NamesError::Unreadable(_)), "{error}");
    }
}
