//! Lets whole clusters live and suffer, and tells what became of them.

mod args;
mod commit;
mod enumerate;
mod explain;
mod junit;
mod list;
mod output;
mod replay;
mod run;
mod shrink;
mod soak;

use std::process::ExitCode;

use crate::args::{Args, Task};
use crate::output::Trouble;

fn main() -> ExitCode {
    let args = match Args::parse(lexopt::Parser::from_env()) {
        Ok(args) => args,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let result = match &args.task {
        Task::Help => output::print(args::USAGE),
        Task::List => list::list(&args),
        Task::Soak => soak::soak(&args),
        Task::Enumerate => enumerate::enumerate(&args),
        Task::Run => run::run(&args),
        Task::Replay(file) => replay::replay(&args, file),
        Task::Explain(file) => explain::explain(&args, file.as_deref()),
        Task::Shrink(file) => shrink::shrink(&args, file),
    };
    match result {
        Ok(code) => code,
        // Whoever reads has seen enough.
        Err(Trouble::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("{trouble}");
            ExitCode::from(2)
        }
    }
}
