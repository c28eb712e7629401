//! Configurations, sensible or absurd, and nodes that live by them.

use std::time::Duration;

use ordu_core::limits::{DELTA_BYTES_MAX, DELTA_ENTRIES_MAX};
use ordu_core::wire::{decode_frame, encode_frame};
use ordu_core::{
    Address, Config, ConfigError, Event, Input, Node, NodeId, Output, Time, Wall, hash64,
};

use crate::fuzz::bytes::Bytes;

/// What became of a configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConfigRun {
    /// It makes no sense.
    Refused,
    /// It makes sense, and nobody lived by it.
    Accepted,
    /// Two nodes lived by it; how often one of them took its place in the cluster.
    Lived(u32),
}

/// Checks a configuration made of `bytes`, and lets two nodes live by it if it makes sense.
///
/// What is refused is refused for the first rule that it breaks, and names the setting; what is
/// accepted breaks none. The nodes have a session, hear each other, and are woken when they ask to
/// be, also after a time that `bytes` say. Nodes are dear: one in `lived_of` that are accepted is
/// lived by, by the hash of the bytes.
///
/// # Panics
///
/// Panics if any of that does not hold, if a check or a node panics, or if a node asks to be woken
/// in the past; and if `lived_of` is 0.
pub fn config(bytes: &[u8], lived_of: u64) -> ConfigRun {
    assert!(lived_of > 0, "one in none is none");
    let is_lived_by = hash64(bytes).is_multiple_of(lived_of);
    let mut bytes = Bytes(bytes);
    let config = configuration(&mut bytes);
    let verdict = config.check();
    assert_eq!(verdict, expected(&config), "the rules are these: {config:?}");
    if let Err(error) = verdict {
        let setting = match &error {
            ConfigError::Zero { what } | ConfigError::TooLarge { what, .. } => what,
            ConfigError::FailureTimeoutTooShort { .. } => "failure_timeout",
            ConfigError::ForgetTooSoon { .. } => "forget_after",
            ConfigError::MetadataTooLarge { .. } | ConfigError::TooMuchMetadata { .. } => {
                "metadata"
            }
            ConfigError::NotListed { .. } | ConfigError::TooManyMembers { .. } => {
                "on the list of members"
            }
            ConfigError::RuleName { .. } | ConfigError::RuleMissing { .. } => "rule",
            ConfigError::StrategyName { .. } | ConfigError::StrategyMissing { .. } => "strategy",
            ConfigError::NoVoters { .. }
            | ConfigError::OtherVoters { .. }
            | ConfigError::Voters(_) => "vote",
            ConfigError::ImportedName { .. } => "leases",
            error => panic!("no test knows of {error:?}"),
        };
        assert!(error.to_string().contains(setting), "{error} does not name {setting}");
        return ConfigRun::Refused;
    }
    if !is_lived_by {
        return ConfigRun::Accepted;
    }
    let mut pair = Pair::new(&config);
    pair.connect();
    for _ in 0..ROUNDS {
        pair.wake_in_time();
    }
    pair.advance(bytes.duration(Duration::from_secs(1)));
    ConfigRun::Lived(pair.joined)
}

/// How often the nodes are woken as they ask.
const ROUNDS: usize = 4;
/// Most outputs that one input may cause between two nodes without children.
const OUTPUTS_MAX: usize = 64;

fn configuration(bytes: &mut Bytes<'_>) -> Config {
    let defaults = Config::new(id(0), address(0));
    Config {
        failure_timeout: bytes.duration(defaults.failure_timeout),
        beat_interval: bytes.duration(defaults.beat_interval),
        digest_interval: bytes.duration(defaults.digest_interval),
        forget_after: bytes.duration(defaults.forget_after),
        clock_bound: bytes.duration(defaults.clock_bound),
        start_timeout: bytes.duration(defaults.start_timeout),
        conflict_grace: bytes.duration(defaults.conflict_grace),
        backoff_min: bytes.duration(defaults.backoff_min),
        backoff_max: bytes.duration(defaults.backoff_max),
        starts_at_once: match bytes.byte() {
            0..=127 => defaults.starts_at_once,
            128..=255 => usize::try_from(bytes.odd_number()).unwrap_or(usize::MAX),
        },
        delta_entries_max: limit(bytes, defaults.delta_entries_max),
        delta_bytes_max: limit(bytes, defaults.delta_bytes_max),
        push_to_all_max: usize::from(bytes.byte()),
        ..defaults
    }
}

/// Reads a limit whose default is the most that works: itself, below, beside it, or anything.
fn limit(bytes: &mut Bytes<'_>, most: usize) -> usize {
    match bytes.byte() {
        0..=127 => most,
        tight @ 128..=191 => usize::from(tight - 128),
        192..=223 => most + 1,
        224..=255 => usize::try_from(bytes.odd_number()).unwrap_or(usize::MAX),
    }
}

/// Says the rules once more, in whole nanoseconds.
fn expected(config: &Config) -> Result<(), ConfigError> {
    let ns = |duration: Duration| duration.as_nanos();
    let least = |duration: Duration, times: u32| duration.saturating_mul(times);
    let times = [
        ("beat_interval", config.beat_interval),
        ("digest_interval", config.digest_interval),
        ("backoff_min", config.backoff_min),
    ];
    if let Some((what, _)) = times.into_iter().find(|(_, time)| ns(*time) < 1_000_000) {
        return Err(ConfigError::Zero { what });
    }
    if config.starts_at_once == 0 {
        return Err(ConfigError::Zero { what: "starts_at_once" });
    }
    for (what, asked, most) in [
        ("delta_entries_max", config.delta_entries_max, DELTA_ENTRIES_MAX),
        ("delta_bytes_max", config.delta_bytes_max, DELTA_BYTES_MAX),
    ] {
        match asked {
            0 => return Err(ConfigError::Zero { what }),
            _ if asked > most => return Err(ConfigError::TooLarge { what, asked, most }),
            _ => {}
        }
    }
    let Config { failure_timeout, forget_after, beat_interval, .. } = *config;
    if ns(failure_timeout) < 3 * ns(beat_interval) {
        let least = least(beat_interval, 3);
        return Err(ConfigError::FailureTimeoutTooShort { failure_timeout, least });
    }
    if ns(forget_after) < 4 * ns(failure_timeout) {
        let least = least(failure_timeout, 4);
        return Err(ConfigError::ForgetTooSoon { forget_after, least });
    }
    Ok(())
}

/// Two nodes with a network that loses nothing and takes no time.
struct Pair {
    now: Time,
    nodes: [Node; 2],
    has_session: bool,
    joined: u32,
}

impl Pair {
    fn new(config: &Config) -> Self {
        let now = Time::from_millis(1);
        let nodes = [0, 1].map(|index| {
            let seeds = vec![address(1 - index)];
            let config = Config { id: id(index), address: address(index), seeds, ..config.clone() };
            Node::new(config, index as u64, now)
        });
        Self { now, nodes, has_session: false, joined: 0 }
    }

    fn connect(&mut self) {
        let wall = Wall::from_millis(1_700_000_000_000);
        for index in [0, 1] {
            self.feed(index, Input::Wall(wall));
        }
        self.has_session = true;
        for index in [0, 1] {
            self.feed(index, Input::Connected { peer: id(1 - index) });
        }
    }

    /// Lets time pass until one of the nodes wants to be woken.
    fn wake_in_time(&mut self) {
        let timeouts = self.nodes.iter().filter_map(|node| node.poll_timeout());
        // A timer at the end of time never fires.
        if let Some(at) = timeouts.map(|(at, _)| at).min().filter(|&at| at < END) {
            self.advance(at.since(self.now));
        }
    }

    fn advance(&mut self, duration: Duration) {
        let rest = END.since(self.now).saturating_sub(Duration::from_micros(1));
        self.now = self.now + duration.min(rest);
        for index in [0, 1] {
            self.feed(index, Input::Tick);
            self.feed(index, Input::Flush);
        }
    }

    /// Feeds one input, and delivers what it makes the nodes say to each other.
    fn feed(&mut self, index: usize, input: Input) {
        let mut inputs = std::collections::VecDeque::from([(index, input)]);
        let mut outputs = 0;
        while let Some((index, input)) = inputs.pop_front() {
            self.nodes[index].handle(self.now, input);
            while let Some(output) = self.nodes[index].poll_output() {
                outputs += 1;
                assert!(outputs < OUTPUTS_MAX, "two nodes say little: {output:?}");
                match output {
                    Output::Send { ref to, ref envelope }
                        if self.has_session && *to == id(1 - index) =>
                    {
                        let envelope = decode_frame(&encode_frame(envelope));
                        let envelope = envelope.expect("what is said is heard");
                        let envelope = envelope.expect("every kind is known");
                        let from = id(index);
                        inputs.push_back((1 - index, Input::Message { from, envelope }));
                    }
                    Output::Disconnect { .. } if self.has_session => {
                        self.has_session = false;
                        for index in [0, 1] {
                            inputs.push_back((index, Input::Disconnected { peer: id(1 - index) }));
                        }
                    }
                    Output::Event(Event::Joined { .. }) => self.joined += 1,
                    Output::Send { .. }
                    | Output::Dial { .. }
                    | Output::HangUp { .. }
                    | Output::Renew { .. }
                    | Output::Persist { .. }
                    | Output::Hold { .. }
                    | Output::Disconnect { .. }
                    | Output::View(_)
                    | Output::Event(_)
                    | Output::Exit(_) => {}
                    Output::Start(_)
                    | Output::Stop { .. }
                    | Output::Absorb { .. }
                    | Output::Deliver { .. }
                    | Output::Reply { .. } => panic!("nobody asked for {output:?}"),
                }
            }
            let next = self.nodes[index].poll_timeout();
            let is_later = next.is_none_or(|(at, _)| self.now < at);
            assert!(is_later, "node {index} is to be woken at {next:?}");
        }
    }
}

/// The last point in time that there is.
const END: Time = Time::from_micros(u64::MAX);

fn id(index: usize) -> NodeId {
    NodeId::new(["a", "b"][index]).expect("a letter is a name")
}

fn address(index: usize) -> Address {
    Address::new(["a:1", "b:1"][index]).expect("it is short and plain")
}
