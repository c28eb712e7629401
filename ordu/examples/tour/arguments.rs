//! The command line.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use crate::NODES;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Keeps named children alive on five processes through a kill, a restart, a freeze, a cut and a leave.

usage: tour [--json] [--port PORT] [FILE]

  FILE         children's names, one a line, 1 to 512 bytes each; 5,000 names come with the tour
  --json       print one JSON object instead of lines
  --port PORT  listen at PORT and the four ports after it, instead of any free ones

exit status: 0 if nothing was lost or doubled, 1 if something was, 2 if the input was refused
";

/// What the tour was asked for.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Arguments {
    /// Where the names are, or the bundled ones.
    pub file: Option<PathBuf>,
    /// Whether to print for machines.
    pub json: bool,
    /// The first port, or any free ones.
    pub port: Option<u16>,
    /// Whether to print the help and do nothing.
    pub help: bool,
}

impl Arguments {
    /// Reads the command line, without the program's own name.
    ///
    /// # Errors
    ///
    /// Says which word was not understood.
    pub(crate) fn read(words: impl Iterator<Item = OsString>) -> Result<Self, ArgumentsError> {
        let mut arguments = Self::default();
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--json") => arguments.json = true,
                Some("--help" | "-h") => arguments.help = true,
                Some("--port") => {
                    let port = words.next().unwrap_or_default();
                    arguments.port = Some(read_port(&port)?);
                }
                Some(unknown) if unknown.starts_with('-') => {
                    return Err(ArgumentsError::Unknown { word });
                }
                _ if arguments.file.is_some() => return Err(ArgumentsError::TwoFiles { word }),
                _ => arguments.file = Some(PathBuf::from(word)),
            }
        }
        Ok(arguments)
    }

    /// Returns the port of each node, after a look whether it is free; 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// Names the first port that is taken.
    pub(crate) fn ports(&self) -> Result<[u16; NODES], ArgumentsError> {
        let mut ports = [0; NODES];
        let Some(first) = self.port else { return Ok(ports) };
        for (port, number) in ports.iter_mut().zip(first..) {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, number)) {
                Ok(_) => *port = number,
                Err(error) => {
                    return Err(ArgumentsError::PortTaken {
                        port: number,
                        reason: error.to_string(),
                    });
                }
            }
        }
        Ok(ports)
    }
}

fn read_port(word: &OsString) -> Result<u16, ArgumentsError> {
    let last = u16::MAX - (NODES as u16 - 1);
    let port = word.to_str().and_then(|word| word.parse().ok());
    port.filter(|port| (1..=last).contains(port))
        .ok_or_else(|| ArgumentsError::NoPort { word: word.clone(), last })
}

/// Why a command line was refused.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ArgumentsError {
    /// There is no such option.
    #[error("there is no option {word:?}; see --help")]
    Unknown { word: OsString },
    /// More than one file was given.
    #[error("only one file of names is taken; {word:?} is too much")]
    TwoFiles { word: OsString },
    /// What should be a port is none.
    #[error("--port takes a number from 1 to {last}, not {word:?}")]
    NoPort { word: OsString, last: u16 },
    /// A port cannot be listened at.
    #[error("port {port} cannot be used: {reason}; choose another with --port, or leave it out")]
    PortTaken { port: u16, reason: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, ArgumentsError> {
        Arguments::read(words.iter().map(OsString::from))
    }

    #[test]
    fn everything_may_be_left_out() {
        assert_eq!(read(&[]), Ok(Arguments::default()));
        assert_eq!(Arguments::default().ports(), Ok([0; NODES]));
    }

    #[test]
    fn file_and_options_come_in_any_order() {
        let all =
            Arguments { file: Some("names".into()), json: true, port: Some(7000), help: false };
        assert_eq!(read(&["names", "--json", "--port", "7000"]).as_ref(), Ok(&all));
        assert_eq!(read(&["--port", "7000", "--json", "names"]).as_ref(), Ok(&all));
    }

    #[test]
    fn whatever_is_not_understood_is_named() {
        let refusal = |words: &[&str]| read(words).unwrap_err().to_string();
        assert!(refusal(&["--jsno"]).contains("--jsno"));
        assert!(refusal(&["a", "b"]).contains("\"b\""));
        for port in [&["--port"][..], &["--port", "0"], &["--port", "65532"], &["--port", "x"]] {
            assert!(refusal(port).starts_with("--port takes a number from 1 to 65531"));
        }
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let arguments = Arguments { port: Some(port), ..Arguments::default() };
        let error = arguments.ports().unwrap_err();
        assert!(error.to_string().starts_with(&format!("port {port} cannot be used")), "{error}");
    }
}
