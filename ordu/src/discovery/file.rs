//! A file of addresses.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use ordu_core::transport::Address;
use tokio::runtime::Handle;

use crate::discovery::{DiscoverError, Discovery};

/// A file of addresses, one a line; what follows a `#` is a comment.
///
/// It is read again every few seconds, so that whoever keeps it may change it while nodes run;
/// replace it as a whole, by renaming another into its place, since half a file counts as one.
#[derive(Clone, Debug)]
pub struct SeedFile {
    path: PathBuf,
    interval: Duration,
}

impl SeedFile {
    /// Most bytes of a file.
    const BYTES_MAX: u64 = 1 << 20;

    /// Reads addresses from the file at `path`, every 5 s.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), interval: Duration::from_secs(5) }
    }

    /// Sets how often the file is read, give or take a quarter.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }
}

#[async_trait]
impl Discovery for SeedFile {
    async fn discover(&self) -> Result<Vec<Address>, DiscoverError> {
        let path = self.path.clone();
        let text = match Handle::try_current() {
            // Files may be far away, and whoever reads one waits.
            Ok(tokio) => {
                let read = tokio.spawn_blocking(move || read(&path)).await;
                read.unwrap_or_else(|error| Err(Failure::Io(io::Error::other(error))))
            }
            Err(_) => read(&path),
        };
        match text {
            Ok(text) => parse(&self.path, &text),
            Err(Failure::Io(source)) => {
                Err(DiscoverError::File { path: self.path.clone(), source })
            }
            Err(Failure::TooLong) => {
                let (path, max) = (self.path.clone(), Self::BYTES_MAX);
                Err(DiscoverError::FileTooLong { path, max })
            }
        }
    }

    fn interval(&self) -> Duration {
        self.interval
    }
}

enum Failure {
    Io(io::Error),
    TooLong,
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let file = File::open(path).map_err(Failure::Io)?;
    let read = file.take(SeedFile::BYTES_MAX + 1).read_to_string(&mut text).map_err(Failure::Io)?;
    if SeedFile::BYTES_MAX < read as u64 {
        return Err(Failure::TooLong);
    }
    Ok(text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Address>, DiscoverError> {
    let mut addresses = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let address = line.split_once('#').map_or(line, |(address, _)| address).trim();
        if address.is_empty() {
            continue;
        }
        let bad = |source| {
            let (path, line) = (path.to_owned(), index + 1);
            DiscoverError::Line { path, line, source }
        };
        addresses.push(Address::new(address).map_err(bad)?);
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let addresses = parse(Path::new("seeds"), text).unwrap();
        addresses.into_iter().map(String::from).collect()
    }

    #[test]
    fn a_line_is_an_address_a_comment_or_nothing() {
        assert_eq!(texts(""), Vec::<String>::new());
        let text = "# all of them\n\n a:1 \r\nb:2 # the second\n[::1]:3";
        assert_eq!(texts(text), ["a:1", "b:2", "[::1]:3"]);
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_line() {
        let long = format!("a:1\n{}", "x".repeat(256));
        let error = parse(Path::new("seeds"), &long).unwrap_err();
        assert_eq!(error.to_string(), "line 2 of seeds is no address");
        assert!(error.source().is_some(), "and why");
    }
}
