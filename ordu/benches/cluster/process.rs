//! The node processes as the bench holds them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::NODE_FLAG;
use crate::words::{Answer, Request, Setup, wall_nanos};

/// A node process. It is killed when this is dropped.
pub(crate) struct NodeProcess {
    /// What the node is called.
    pub name: String,
    /// Where it listens.
    pub address: String,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// Node processes that know each other.
pub(crate) struct Cluster {
    /// The nodes, in the order they joined.
    pub nodes: Vec<NodeProcess>,
    secret: Vec<u8>,
}

impl Cluster {
    /// Starts `count` nodes and waits until they are at rest.
    pub(crate) fn start(count: usize) -> Self {
        let mut secret = vec![0; 32];
        getrandom::fill(&mut secret).expect("the system has random bytes");
        let mut cluster = Self { nodes: Vec::new(), secret };
        for _ in 0..count {
            cluster.join();
        }
        cluster.settle();
        cluster
    }

    /// Adds a node, and waits until it is ready.
    pub(crate) fn join(&mut self) {
        let seeds = self.nodes.iter().map(|node| node.address.clone()).collect();
        let node = format!("n{}", self.nodes.len() + 1);
        self.nodes.push(NodeProcess::start(&Setup { node, seeds, secret: self.secret.clone() }));
    }

    /// Parts all nodes from each other, and waits until each is alone.
    pub(crate) fn cut(&mut self) {
        let names: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        for node in &mut self.nodes {
            // A node has no session with itself that could be cut.
            for from in &names {
                node.ask(&Request::Cut { from: from.clone() });
            }
        }
        self.await_members(1);
    }

    /// Lets all nodes meet again; returns when they could, and when they had.
    pub(crate) fn heal(&mut self) -> (u64, u64) {
        for node in &mut self.nodes {
            node.ask(&Request::Heal);
        }
        let healed = wall_nanos();
        (healed, self.await_members(self.nodes.len()))
    }

    /// Waits until each node sees so many members up; returns when the last one did.
    fn await_members(&mut self, count: usize) -> u64 {
        for node in &mut self.nodes {
            node.begin(&Request::AwaitMembers { count });
        }
        self.nodes.iter_mut().map(|node| node.end().ended()).max().expect("there are nodes")
    }

    /// Waits until all nodes say that the cluster is at rest.
    pub(crate) fn settle(&mut self) {
        for node in &mut self.nodes {
            node.ask(&Request::Settle);
        }
    }
}

impl NodeProcess {
    fn start(setup: &Setup) -> Self {
        let program = std::env::current_exe().expect("the program knows where it is");
        let mut child = Command::new(program)
            .arg(NODE_FLAG)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program can be started once more");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (name, address) = (setup.node.clone(), String::new());
        let mut node = Self { name, address, child, stdin, stdout };
        node.write(setup);
        node.address = node.read();
        node
    }

    /// Asks for something and waits for the answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        self.begin(request);
        self.end()
    }

    /// Asks for something; [`NodeProcess::end`] must follow.
    pub(crate) fn begin(&mut self, request: &Request) {
        self.write(request);
    }

    /// Waits for the answer to what was begun.
    pub(crate) fn end(&mut self) -> Answer {
        self.read()
    }

    /// Ends the process at once.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
    }

    fn write(&mut self, value: &impl serde::Serialize) {
        let line = serde_json::to_string(value).expect("it is plain data");
        writeln!(self.stdin, "{line}").expect("the node process lives");
    }

    fn read<T: serde::de::DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the node process lives");
        let name = &self.name;
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("node {name} failed: {line:?}"))
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
