//! Specifications of children: from bytes, through the wire, to a node that is asked to start one.

use std::time::Duration;

use ordu_core::limits::{FRAME_BYTES_MAX, NAME_BYTES_MAX, SPEC_BYTES_MAX, VALUE_BYTES_MAX};
use ordu_core::placement::{Need, Placement};
use ordu_core::wire::{WireError, decode, encode};
use ordu_core::{
    Address, Blob, Budget, ChildId, ChildSpec, Command, Config, Input, Labels, Name, NameError,
    Node, NodeId, Output, ProcessEvent, Reply, Restart, Scope, StartChildError, StartReason, Time,
    ViewChange, hash64,
};

use crate::fuzz::bytes::Bytes;

/// What became of a specification.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpecRun {
    /// The bytes were none.
    Malformed,
    /// It was read and written, and no node was asked.
    Read,
    /// It was too large, and nothing was started.
    TooLarge,
    /// It belongs to a child that there is none of, and nothing was started.
    Orphan,
    /// The node has no code for its kind or its strategy, or is not what it needs; it is kept.
    Kept,
    /// The child was started.
    Started,
}

/// Reads or builds a specification as `bytes` say, and asks a node to start it.
///
/// What is read comes back the same once it is written and read again. A specification over the
/// limit is refused with its size, and but for the answer the node is as it was, and so is one that
/// belongs to a child that there is none of. Any other is started with the very kind and arguments
/// if the node has code for it, and is kept if not; a second child of its name is refused. A node
/// is dear: one in `asked_of` that are within the limit is asked, by the hash of the bytes.
///
/// # Panics
///
/// Panics if any of that does not hold, and if `asked_of` is 0.
pub fn spec(bytes: &[u8], asked_of: u64) -> SpecRun {
    assert!(asked_of > 0, "one in none is none");
    let is_asked = hash64(bytes).is_multiple_of(asked_of);
    let mut bytes = Bytes(bytes);
    let spec = match bytes.byte() {
        0..=127 => match read(bytes.0) {
            Some(spec) => spec,
            None => return SpecRun::Malformed,
        },
        mode @ 128..=255 => built(mode, &mut bytes),
    };
    let wire = encode(&spec);
    if wire.len() <= FRAME_BYTES_MAX {
        assert_eq!(decode(&wire).as_ref(), Ok(&spec), "what is written can be read");
    }
    if wire.len() > SPEC_BYTES_MAX {
        let error = StartChildError::TooLarge { bytes: wire.len(), max: SPEC_BYTES_MAX };
        Host::new().check_refused(&spec, error);
        return SpecRun::TooLarge;
    }
    if spec.value.len() > VALUE_BYTES_MAX {
        let (bytes, max) = (spec.value.len(), VALUE_BYTES_MAX);
        Host::new().check_refused(&spec, StartChildError::ValueTooLarge { bytes, max });
        return SpecRun::TooLarge;
    }
    if let Some(parent) = spec.parent {
        Host::new().check_refused(&spec, StartChildError::NoParent { parent });
        return SpecRun::Orphan;
    }
    if is_asked { Host::new().check_started(&spec) } else { SpecRun::Read }
}

/// The kind that the node has code for.
const KIND: &str = "counter";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a specification as a node reads an entry of a peer's journal.
fn read(bytes: &[u8]) -> Option<ChildSpec> {
    match decode::<ChildSpec>(bytes) {
        Ok(spec) => {
            let wire = encode(&spec);
            assert!(wire.len() <= bytes.len(), "our own encoding is the shortest");
            Some(spec)
        }
        Err(WireError::Malformed) => None,
        Err(WireError::TrailingBytes { bytes: extra }) => {
            assert!(0 < extra && extra < bytes.len(), "{extra} bytes follow a specification");
            None
        }
        Err(error) => panic!("{} bytes are refused for another's reason: {error}", bytes.len()),
    }
}

/// Builds a specification; the highest modes make it as large as the limit, give or take a byte.
fn built(mode: u8, bytes: &mut Bytes<'_>) -> ChildSpec {
    let restart = [Restart::Permanent, Restart::Transient, Restart::Temporary][bytes.below(3)];
    let kind = if bytes.byte().is_multiple_of(2) { KIND.into() } else { text(bytes) };
    let name = match bytes.byte() % 4 {
        0 => None,
        1 => name_of(usize::from(bytes.byte())),
        2 => name_of(NAME_BYTES_MAX - 2 + usize::from(bytes.byte() % 5)),
        _ => name_of(1),
    };
    let placement_key = bytes.byte().is_multiple_of(2).then(|| Blob::from(text(bytes)));
    let grace = bytes.duration(Duration::from_secs(1));
    let name = name.map(|name| (Scope::named("default"), name));
    let args = Blob::from(text(bytes));
    // What is left differs from spec to spec as what was drawn does.
    let label = placement_key.as_ref().map(|key| key.to_string());
    let needs = label.map(|key| Need::NoLabel { value: kind.clone(), key }).into_iter().collect();
    let budget = (restart == Restart::Permanent).then(Budget::default);
    let placement = match mode % 8 {
        0 => Placement::Random,
        1 => Placement::bounded(u16::from(mode)),
        2 => Placement::spread_over(kind.clone()),
        3 if restart == Restart::Temporary => Placement::User(kind.clone()),
        _ => Placement::Ring,
    };
    let parent = (mode % 32 == 4).then(|| ChildId::from_bytes([mode; 16]));
    let mut spec = ChildSpec {
        placement,
        parent,
        restart,
        grace,
        name,
        placement_key,
        needs,
        budget,
        ..ChildSpec::new(kind, args)
    };
    if mode >= 252 {
        let size = SPEC_BYTES_MAX - 2 + usize::from(mode - 251);
        // The length of the arguments takes one byte while there are few, and five then.
        spec.args = Blob::default();
        spec.args = Blob::from(vec![b'x'; size - (encode(&spec).len() + 4)]);
        assert_eq!(encode(&spec).len(), size, "the arguments make up the rest");
    }
    spec
}

/// Returns a name of as many bytes, or `None` if there can be none; says why as it must.
fn name_of(length: usize) -> Option<Name> {
    let name = Name::new(vec![b'n'; length]);
    match &name {
        Ok(_) => assert!((1..=NAME_BYTES_MAX).contains(&length), "{length} bytes are a name"),
        Err(NameError::Empty) => assert_eq!(length, 0),
        Err(NameError::TooLong { bytes, max }) => {
            assert_eq!((*bytes, *max), (length, NAME_BYTES_MAX));
            assert!(max < bytes, "{length} bytes are no name");
        }
        Err(error) => panic!("a name of {length} bytes is refused: {error}"),
    }
    name.ok()
}

fn text(bytes: &mut Bytes<'_>) -> String {
    let length = usize::from(bytes.byte() % 32);
    String::from_utf8_lossy(bytes.take(length)).into_owned()
}

/// A node that is alone in its cluster.
struct Host {
    node: Node,
    now: Time,
    tickets: u64,
}

impl Host {
    fn new() -> Self {
        let id = NodeId::new("a").expect("a letter is a name");
        let mut config = Config::new(id, Address::new("a:1").expect("it is short and plain"));
        config.kinds.push(KIND.into());
        let now = Time::from_millis(1);
        let mut host = Self { node: Node::new(config, 1, now), now, tickets: 0 };
        host.feed(Input::Tick);
        host.feed(Input::Flush);
        assert!(host.node.replica().is_some(), "alone, it joins at once");
        host
    }

    fn feed(&mut self, input: Input) -> Vec<Output> {
        self.node.handle(self.now, input);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.node.poll_output()).collect();
        assert!(outputs.len() < 32, "one child is little work: {outputs:?}");
        outputs
    }

    /// Asks for a child; the ticket of the request, and what the node makes of it.
    fn ask(&mut self, spec: &ChildSpec) -> (u64, Vec<Output>) {
        self.tickets += 1;
        let command = Command::Start { scope: Scope::named("default"), spec: spec.clone() };
        let request = Input::Request { ticket: self.tickets, timeout: TIMEOUT, command };
        (self.tickets, self.feed(request))
    }

    fn check_refused(&mut self, spec: &ChildSpec, error: StartChildError) {
        let before = self.node.state_hash();
        let (ticket, outputs) = self.ask(spec);
        let reply = Output::Reply { ticket, reply: Reply::Start(Err(error)) };
        assert_eq!(outputs, [reply], "it is refused, and that is all");
        assert_eq!(self.node.state_hash(), before, "a refusal changes nothing");
    }

    fn check_started(&mut self, spec: &ChildSpec) -> SpecRun {
        let (ticket, outputs) = self.ask(spec);
        let refused = outputs.iter().any(|output| matches!(output, Output::Reply { .. }));
        assert!(!refused, "a good specification is taken, and answered once it runs");

        let (mut starts, mut run) = (0, SpecRun::Kept);
        for output in outputs {
            if let Output::Start(start) = output {
                assert_eq!((&start.kind, &start.args), (&spec.kind, &spec.args), "as asked for");
                assert_eq!((start.reason, start.state), (StartReason::Fresh, None));
                starts += 1;
                run = SpecRun::Started;
                self.check_runs(spec, ticket, start.number);
            }
        }
        let node = self.node.replica().expect("it has joined").node().clone();
        let is_met = |need: &Need| need.is_met_by(&node, &Labels::new());
        let has_code = spec.kind == KIND && !matches!(spec.placement, Placement::User(_));
        let can_run = has_code && spec.needs.iter().all(is_met);
        assert_eq!(starts == 1, can_run, "it starts where there is code for it, and it is needed");
        if spec.name.is_some() {
            self.check_name_is_taken(spec);
        }
        run
    }

    /// Lets the process start: the request is answered, and readers see the child.
    fn check_runs(&mut self, spec: &ChildSpec, ticket: u64, number: u64) {
        let event = ProcessEvent::Started;
        let outputs = self.feed(Input::Process { number, event });
        let mut seen = 0;
        for output in &outputs {
            if let Output::Reply { ticket: answered, reply } = output {
                let Reply::Start(Ok(started)) = reply else { panic!("it runs: {reply:?}") };
                assert_eq!((*answered, started.process.number), (ticket, number));
                seen += 1;
            }
            if let Output::View(ViewChange::Child { view: Some(view), .. }) = output {
                let name = spec.name.as_ref().map(|(_, name)| name);
                assert_eq!((&view.kind, view.name.as_ref()), (&spec.kind, name));
            }
            assert!(!matches!(output, Output::Stop { .. }), "nobody stops it: {output:?}");
        }
        assert_eq!(seen, 1, "the start is answered once: {outputs:?}");
    }

    fn check_name_is_taken(&mut self, spec: &ChildSpec) {
        self.feed(Input::Flush);
        let before = self.node.state_hash();
        let (_, outputs) = self.ask(spec);
        let [Output::Reply { reply: Reply::Start(Err(error)), .. }] = outputs.as_slice() else {
            panic!("a name has one holder: {outputs:?}");
        };
        let is_taken = matches!(error, StartChildError::NameTaken { .. });
        assert!(is_taken, "the name is taken: {error}");
        assert_eq!(self.node.state_hash(), before, "a refusal changes nothing");
    }
}
