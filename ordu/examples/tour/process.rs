//! A node process as the tour holds it: asked over a pipe, and killed or frozen by signals.

use std::collections::HashMap;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};

use crate::words::{Answer, Asked, Line, Members, Request, Setup};
use crate::{Failure, NODE_FLAG};

/// A node process, and the pipes to it. It is killed when this is dropped.
pub(crate) struct NodeProcess {
    /// What the node is called.
    pub name: String,
    /// Where it listens.
    pub address: String,
    child: Child,
    stdin: tokio::sync::Mutex<ChildStdin>,
    open: Arc<Mutex<Open>>,
    members: watch::Receiver<Members>,
}

/// Requests that wait for an answer.
#[derive(Default)]
struct Open {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Result<Answer, String>>>,
    /// Set once the process has nothing more to say.
    over: bool,
}

impl NodeProcess {
    /// Starts a node process, which is this program once more, and waits until it has joined.
    pub(crate) async fn start(setup: &Setup) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(NODE_FLAG)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        write_line(&mut stdin, setup).await?;

        let open = Arc::new(Mutex::new(Open::default()));
        let (ready, is_ready) = oneshot::channel();
        let (sees, members) = watch::channel(Members::new());
        tokio::spawn(read(stdout, Arc::clone(&open), ready, sees));
        let name = setup.node.clone();
        let address =
            is_ready.await.map_err(|_| format!("node {name} ended before it had joined"))?;
        let stdin = tokio::sync::Mutex::new(stdin);
        Ok(Self { name, address, child, stdin, open, members })
    }

    /// Asks the node to do something and waits until it has.
    pub(crate) async fn ask(&self, request: Request) -> Result<Answer, Failure> {
        let what = format!("{request:?}");
        let what = what.split([' ', '{']).next().unwrap_or_default();
        let (answer, answered) = oneshot::channel();
        let number = {
            let mut open = self.open.lock().expect("nobody panics with the lock");
            if open.over {
                return Err(format!("{what}: node {} is gone", self.name).into());
            }
            open.last += 1;
            let number = open.last;
            open.waiting.insert(number, answer);
            number
        };
        write_line(&mut *self.stdin.lock().await, &Asked { number, request }).await?;
        match answered.await {
            Ok(result) => result.map_err(|why| format!("{what} on {}: {why}", self.name).into()),
            Err(_) => Err(format!("{what}: node {} went away", self.name).into()),
        }
    }

    /// Waits until the node sees the members so that `wanted` holds.
    pub(crate) async fn sees(&self, wanted: impl FnMut(&Members) -> bool) -> Result<(), Failure> {
        match self.members.clone().wait_for(wanted).await {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("node {} went away", self.name).into()),
        }
    }

    /// Returns the members as the node last saw them.
    pub(crate) fn members(&self) -> Members {
        self.members.borrow().clone()
    }

    /// Ends the process at once, without a chance to say goodbye, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn ended(mut self) -> io::Result<()> {
        drop(self.stdin);
        self.child.wait().await.map(|_| ())
    }

    /// Stops the process in the middle of whatever it does.
    pub(crate) fn freeze(&self) -> Result<(), Failure> {
        signals::send(self.child.id(), signals::Signal::Freeze)
    }

    /// Lets a frozen process go on as if nothing had been.
    pub(crate) fn thaw(&self) -> Result<(), Failure> {
        signals::send(self.child.id(), signals::Signal::Thaw)
    }
}

async fn write_line(pipe: &mut ChildStdin, line: &impl serde::Serialize) -> Result<(), Failure> {
    let mut json = serde_json::to_vec(line)?;
    json.push(b'\n');
    pipe.write_all(&json).await?;
    Ok(pipe.flush().await?)
}

/// Reads what the process says until it ends.
async fn read(
    stdout: ChildStdout,
    open: Arc<Mutex<Open>>,
    ready: oneshot::Sender<String>,
    members: watch::Sender<Members>,
) {
    let mut ready = Some(ready);
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line).expect("a node process speaks as we do") {
            Line::Ready { address } => {
                let ready = ready.take().expect("a node joins once");
                // Nobody waits any more only if the tour is being given up.
                let _ = ready.send(address);
            }
            Line::Members(seen) => {
                members.send_replace(seen);
            }
            Line::Answer { number, result } => {
                let mut open = open.lock().expect("nobody panics with the lock");
                if let Some(waiting) = open.waiting.remove(&number) {
                    let _ = waiting.send(result);
                }
            }
        }
    }
    let mut open = open.lock().expect("nobody panics with the lock");
    open.over = true;
    // Whoever still waits is told by the loss of the sender.
    open.waiting.clear();
}

#[cfg(unix)]
mod signals {
    use crate::Failure;

    /// What can be done to a process from outside.
    pub(super) enum Signal {
        Freeze,
        Thaw,
    }

    pub(super) fn send(process: Option<u32>, signal: Signal) -> Result<(), Failure> {
        let process = process.and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        let process = process.ok_or("the process has ended already")?;
        let signal = match signal {
            Signal::Freeze => rustix::process::Signal::STOP,
            Signal::Thaw => rustix::process::Signal::CONT,
        };
        Ok(rustix::process::kill_process(process, signal)?)
    }
}

#[cfg(not(unix))]
mod signals {
    use crate::Failure;

    /// What can be done to a process from outside.
    pub(super) enum Signal {
        Freeze,
        Thaw,
    }

    pub(super) fn send(_process: Option<u32>, signal: Signal) -> Result<(), Failure> {
        match signal {
            Signal::Freeze | Signal::Thaw => Err("only Unix can freeze a process".into()),
        }
    }
}
