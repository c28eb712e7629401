//! What the tour shows while it works: a spinner on a terminal, plain lines anywhere else.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// What is going on; on standard error, so that standard output holds results alone.
pub(crate) struct Progress {
    /// `None` where nobody looks at a terminal.
    spinner: Option<ProgressBar>,
}

/// A count on its way to a total. Its bar disappears when it is dropped.
pub(crate) struct Count(Option<ProgressBar>);

impl Progress {
    /// Looks whether there is a terminal to draw on.
    pub(crate) fn new() -> Self {
        let spinner = io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let Some(spinner) = &spinner {
            spinner.enable_steady_tick(Duration::from_millis(100));
        }
        Self { spinner }
    }

    /// Says what begins.
    pub(crate) fn begin(&self, what: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(what.to_owned()),
            None => eprintln!("{what}"),
        }
    }

    /// Says what begins and how much of it there is.
    pub(crate) fn count(&self, what: &str, total: usize) -> Count {
        self.begin(what);
        if let Some(spinner) = &self.spinner {
            let style = ProgressStyle::with_template("{spinner} {msg} {bar:40} {pos}/{len}");
            spinner.set_style(style.expect("the template is fixed and well-formed"));
            spinner.set_length(total as u64);
        }
        Count(self.spinner.clone())
    }

    /// Prints a line of the result, above whatever is drawn.
    pub(crate) fn print(&self, line: &str) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| println!("{line}")),
            None => println!("{line}"),
        }
    }

    /// Removes what is drawn.
    pub(crate) fn end(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

impl Count {
    /// Counts `more`.
    pub(crate) fn advance(&self, more: usize) {
        if let Some(bar) = &self.0 {
            bar.inc(more as u64);
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.set_style(ProgressStyle::default_spinner());
            bar.unset_length();
        }
    }
}
