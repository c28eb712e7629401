//! The first four messages of a connection, as a machine without I/O.
//!
//! ```text
//!  dialer                                                      acceptor
//!    │ preamble, Noise e (psk) ─────────────────────────────────▶ │
//!    │ ◀─────────── preamble, Noise e, ee { greeting, life, nonce } │
//!    │ sealed { greeting, life, nonce, statement } ─────────────▶ │  Step::Decide
//!    │ ◀──────────────────────────────── sealed { admitted, number } │
//! ```
//!
//! The *preamble* is magic, the version of this exchange, and whether it is encrypted; it and the
//! cluster's name are the Noise prologue, so nobody can change them on the way. The protocol's
//! versions are agreed inside the encryption, by the greetings. Whoever refuses says why in an
//! *alert* before hanging up; alerts are not authenticated and mean nothing but that the attempt
//! failed.

use std::fmt;
use std::sync::Arc;

use ordu_core::NodeId;
use ordu_core::wire::{self, Greeting, GreetingError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use snow::HandshakeState;

use crate::noise::{self, Channel, Key, NotSealed};

const MAGIC: [u8; 4] = *b"ordu";
/// The version of the preamble, the four messages and the records.
const EXCHANGE: u8 = 1;
const PREAMBLE_BYTES: usize = MAGIC.len() + 2;

/// Longest message before the peer is authenticated.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Bytes that name a message's length.
const LENGTH_BYTES: usize = 2;

const KIND_STEP: u8 = 1;
const KIND_ALERT: u8 = 2;

/// Numbers of the sealed pieces that belong to the handshake; records count on from here.
pub(crate) const SEALED_IN_HANDSHAKE: u64 = 1;

/// A session's name: the random halves of the dialer and of the acceptor.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub(crate) struct SessionId(pub(crate) u64, pub(crate) u64);

/// What a dialer says of its sessions with the acceptor; see [`crate::table`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Statement {
    /// Counts the statements and verdicts of one life of a transport.
    pub(crate) number: u64,
    /// The session that it holds, and those that it awaits a verdict on, but for this one.
    pub(crate) holds: Vec<SessionId>,
}

/// What an acceptor answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Whether the connection is the session now.
    pub(crate) admitted: bool,
    /// Counts the statements and verdicts of one life of a transport.
    pub(crate) number: u64,
}

/// Who a peer is, as its greeting proved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Peer {
    /// Its name.
    pub(crate) node: NodeId,
    /// Drawn at the start of its transport: tells one life of it from the next.
    pub(crate) life: u64,
    /// What the session is called, should it come to one.
    pub(crate) session: SessionId,
}

/// What a node says of itself in each handshake.
pub(crate) struct Identity {
    pub(crate) greeting: Greeting,
    pub(crate) life: u64,
    pub(crate) key: Option<Key>,
}

/// The randomness of one handshake.
#[derive(Clone, Copy)]
pub(crate) struct Entropy {
    /// The ephemeral key.
    pub(crate) key: [u8; 32],
    /// Our half of the session's id.
    pub(crate) nonce: u64,
}

/// What a handshake needs next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// More bytes.
    Read,
    /// The dialer's [`Handshake::state`]: `Peer` is at the other end.
    State(Peer),
    /// The acceptor's [`Handshake::decide`] on what the peer states.
    Decide(Peer, Statement),
    /// Nothing: the acceptor has answered.
    Answered(Verdict),
}

#[derive(Serialize, Deserialize)]
struct Introduction {
    greeting: Greeting,
    life: u64,
    nonce: u64,
}

/// One side of one handshake: bytes in by [`Handshake::handle`], bytes out by
/// [`Handshake::take_output`].
pub(crate) struct Handshake {
    identity: Arc<Identity>,
    nonce: u64,
    state: State,
    input: Vec<u8>,
    output: Vec<u8>,
    preamble_seen: bool,
    preamble_said: bool,
}

enum State {
    /// The acceptor waits for the first message; without Noise in plain sessions.
    AwaitHello(Option<Box<HandshakeState>>),
    /// The dialer waits for the second.
    AwaitWelcome(Option<Box<HandshakeState>>),
    /// The dialer's caller is to state what it holds.
    Stating(Channel, Peer),
    /// The acceptor waits for the third.
    AwaitStatement(Channel),
    /// The acceptor's caller is to decide.
    Deciding(Channel),
    /// The dialer waits for the fourth.
    AwaitVerdict(Channel),
    /// All is said.
    Done(Channel),
    /// It failed.
    Failed,
}

impl Handshake {
    /// Returns the side that speaks first; its first message is ready.
    pub(crate) fn dialer(identity: Arc<Identity>, entropy: Entropy) -> Self {
        let mut this = Self::new(identity, entropy, true);
        this.say_preamble();
        let State::AwaitWelcome(noise) = &mut this.state else {
            unreachable!("a dialer waits to be welcomed");
        };
        let mut hello = [0; MESSAGE_BYTES_MAX];
        let length = match noise {
            Some(noise) => noise.write_message(&[], &mut hello).expect("it is our turn"),
            None => 0,
        };
        this.push(KIND_STEP, &hello[..length]);
        this
    }

    /// Returns the side that is spoken to first.
    pub(crate) fn acceptor(identity: Arc<Identity>, entropy: Entropy) -> Self {
        Self::new(identity, entropy, false)
    }

    fn new(identity: Arc<Identity>, entropy: Entropy, dialer: bool) -> Self {
        let mut prologue = Vec::from(preamble(identity.key.is_some()));
        prologue.extend_from_slice(identity.greeting.cluster.as_bytes());
        let noise = identity
            .key
            .as_ref()
            .map(|key| Box::new(noise::handshake(dialer, key, &prologue, entropy.key)));
        let state = if dialer { State::AwaitWelcome(noise) } else { State::AwaitHello(noise) };
        let (input, output) = (Vec::new(), Vec::new());
        let (preamble_seen, preamble_said) = (false, false);
        let nonce = entropy.nonce;
        Self { identity, nonce, state, input, output, preamble_seen, preamble_said }
    }

    /// Takes in bytes of the peer, and says what is needed next. After [`Step::State`] and
    /// [`Step::Decide`] call again, with no bytes, once the answer is given.
    ///
    /// # Errors
    ///
    /// Whatever is no handshake of our cluster. What is left to output then is an alert; nothing
    /// else is to be called.
    pub(crate) fn handle(&mut self, bytes: &[u8]) -> Result<Step, HandshakeError> {
        self.input.extend_from_slice(bytes);
        let result = self.advance();
        if let Err(error) = &result {
            self.fail(error);
        }
        result
    }

    /// Returns the bytes to send now, perhaps none.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Says what the dialer holds; due once after [`Step::State`].
    pub(crate) fn state(&mut self, statement: &Statement) {
        let State::Stating(channel, peer) = std::mem::replace(&mut self.state, State::Failed)
        else {
            unreachable!("only a dialer that was asked states what it holds");
        };
        assert!(peer.session.0 == self.nonce, "the dialer's half comes first");
        let introduction = self.introduction();
        let mut sealed = Vec::new();
        channel.seal(0, &wire::encode(&(introduction, statement)), &mut sealed);
        self.push(KIND_STEP, &sealed);
        self.state = State::AwaitVerdict(channel);
    }

    /// Says whether the session is admitted; due once after [`Step::Decide`].
    pub(crate) fn decide(&mut self, verdict: Verdict) {
        let State::Deciding(channel) = std::mem::replace(&mut self.state, State::Failed) else {
            unreachable!("only an acceptor that was asked decides");
        };
        let mut sealed = Vec::new();
        channel.seal(0, &wire::encode(&verdict), &mut sealed);
        self.push(KIND_STEP, &sealed);
        self.state = State::Done(channel);
    }

    /// Returns the channel of the session, and what of it has arrived already.
    pub(crate) fn into_channel(self) -> (Channel, Vec<u8>) {
        let State::Done(channel) = self.state else {
            unreachable!("a session begins when all is said");
        };
        (channel, self.input)
    }

    fn advance(&mut self) -> Result<Step, HandshakeError> {
        if !self.preamble_seen && !self.read_preamble()? {
            return Ok(Step::Read);
        }
        match &self.state {
            State::Stating(..) | State::Deciding(_) | State::Done(_) => return Ok(Step::Read),
            State::Failed => unreachable!("nothing follows a failure"),
            State::AwaitHello(_)
            | State::AwaitWelcome(_)
            | State::AwaitStatement(_)
            | State::AwaitVerdict(_) => (),
        }
        let Some(message) = self.take_message()? else {
            return Ok(Step::Read);
        };
        match std::mem::replace(&mut self.state, State::Failed) {
            State::AwaitHello(noise) => self.handle_hello(noise, &message),
            State::AwaitWelcome(noise) => self.handle_welcome(noise, &message),
            State::AwaitStatement(channel) => self.handle_statement(channel, &message),
            State::AwaitVerdict(channel) => self.handle_verdict(channel, &message),
            State::Stating(..) | State::Deciding(_) | State::Done(_) | State::Failed => {
                unreachable!("no message is awaited")
            }
        }
    }

    fn handle_hello(
        &mut self,
        noise: Option<Box<HandshakeState>>,
        message: &[u8],
    ) -> Result<Step, HandshakeError> {
        let introduction = wire::encode(&self.introduction());
        let mut welcome = [0; MESSAGE_BYTES_MAX];
        let (channel, length) = match noise {
            None if message.is_empty() => {
                welcome[..introduction.len()].copy_from_slice(&introduction);
                (Channel::Plain, introduction.len())
            }
            None => return Err(HandshakeError::Malformed),
            Some(mut noise) => {
                noise
                    .read_message(message, &mut [0; MESSAGE_BYTES_MAX])
                    .map_err(|_| HandshakeError::NotAuthenticated)?;
                let length =
                    noise.write_message(&introduction, &mut welcome).expect("it is our turn");
                (into_channel(*noise), length)
            }
        };
        self.say_preamble();
        self.push(KIND_STEP, &welcome[..length]);
        self.state = State::AwaitStatement(channel);
        self.advance()
    }

    fn handle_welcome(
        &mut self,
        noise: Option<Box<HandshakeState>>,
        message: &[u8],
    ) -> Result<Step, HandshakeError> {
        let mut payload = [0; MESSAGE_BYTES_MAX];
        let (channel, length) = match noise {
            None => {
                payload[..message.len()].copy_from_slice(message);
                (Channel::Plain, message.len())
            }
            Some(mut noise) => {
                let length = noise
                    .read_message(message, &mut payload)
                    .map_err(|_| HandshakeError::NotAuthenticated)?;
                (into_channel(*noise), length)
            }
        };
        let theirs: Introduction =
            wire::decode(&payload[..length]).map_err(|_| HandshakeError::Malformed)?;
        if let Err(error) = self.identity.greeting.agree(&theirs.greeting) {
            // The acceptor learns from our greeting what is wrong; what we hold is not its concern.
            let statement = Statement { number: 0, holds: Vec::new() };
            let mut sealed = Vec::new();
            channel.seal(0, &wire::encode(&(self.introduction(), statement)), &mut sealed);
            self.push(KIND_STEP, &sealed);
            return Err(self.disagreement(error, &theirs));
        }
        let session = SessionId(self.nonce, theirs.nonce);
        let peer = Peer { node: theirs.greeting.node, life: theirs.life, session };
        self.state = State::Stating(channel, peer.clone());
        Ok(Step::State(peer))
    }

    fn handle_statement(
        &mut self,
        channel: Channel,
        message: &[u8],
    ) -> Result<Step, HandshakeError> {
        let (theirs, statement): (Introduction, Statement) = open(&channel, message)?;
        let agreed = self.identity.greeting.agree(&theirs.greeting);
        agreed.map_err(|error| self.disagreement(error, &theirs))?;
        let session = SessionId(theirs.nonce, self.nonce);
        let peer = Peer { node: theirs.greeting.node, life: theirs.life, session };
        self.state = State::Deciding(channel);
        Ok(Step::Decide(peer, statement))
    }

    /// Returns what it means that `theirs` does not agree with what we say of ourselves.
    fn disagreement(&self, error: GreetingError, theirs: &Introduction) -> HandshakeError {
        let is_us =
            matches!(error, GreetingError::OurOwnName { .. }) && theirs.life == self.identity.life;
        if is_us { HandshakeError::Ourselves } else { HandshakeError::Greeting(error) }
    }

    fn handle_verdict(&mut self, channel: Channel, message: &[u8]) -> Result<Step, HandshakeError> {
        let verdict = open(&channel, message)?;
        self.state = State::Done(channel);
        Ok(Step::Answered(verdict))
    }

    /// Reads the preamble as far as it has come; whether it is complete.
    fn read_preamble(&mut self) -> Result<bool, HandshakeError> {
        let known = self.input.len().min(MAGIC.len());
        if self.input[..known] != MAGIC[..known] {
            return Err(HandshakeError::NotOrdu);
        }
        if self.input.len() < PREAMBLE_BYTES {
            return Ok(false);
        }
        let (exchange, encrypted) = (self.input[MAGIC.len()], self.input[MAGIC.len() + 1]);
        if exchange != EXCHANGE {
            return Err(HandshakeError::OtherExchange { theirs: exchange });
        }
        match (self.identity.key.is_some(), encrypted) {
            (true, 1) | (false, 0) => (),
            (true, 0) => return Err(HandshakeError::PeerHasNoSecret),
            (false, 1) => return Err(HandshakeError::PeerHasSecret),
            (true | false, _) => return Err(HandshakeError::Malformed),
        }
        self.input.drain(..PREAMBLE_BYTES);
        self.preamble_seen = true;
        Ok(true)
    }

    /// Takes the next whole message off the input, without its kind.
    fn take_message(&mut self) -> Result<Option<Vec<u8>>, HandshakeError> {
        let Some((length, rest)) = self.input.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 || length > MESSAGE_BYTES_MAX {
            return Err(HandshakeError::Malformed);
        }
        if rest.len() < length {
            return Ok(None);
        }
        let kind = rest[0];
        let message = Vec::from(&rest[1..length]);
        self.input.drain(..LENGTH_BYTES + length);
        match (kind, message.as_slice()) {
            (KIND_STEP, _) => Ok(Some(message)),
            (KIND_ALERT, &[code]) => Err(HandshakeError::Alerted(Alert::from_code(code))),
            (_, _) => Err(HandshakeError::Malformed),
        }
    }

    fn push(&mut self, kind: u8, message: &[u8]) {
        let length = 1 + message.len();
        assert!(length <= MESSAGE_BYTES_MAX, "what we say fits into a message");
        self.output.extend_from_slice(&(length as u16).to_be_bytes());
        self.output.push(kind);
        self.output.extend_from_slice(message);
    }

    /// Tells the peer why we hang up, where it could not know.
    fn fail(&mut self, error: &HandshakeError) {
        let alert = match error {
            HandshakeError::PeerHasNoSecret => Alert::SecretNeeded,
            HandshakeError::PeerHasSecret => Alert::NoSecretHere,
            HandshakeError::NotAuthenticated => Alert::NotAuthenticated,
            HandshakeError::OtherExchange { .. } => Alert::OtherExchange,
            HandshakeError::NotOrdu
            | HandshakeError::Malformed
            | HandshakeError::Greeting(_)
            | HandshakeError::Ourselves
            | HandshakeError::Alerted(_) => return,
        };
        self.say_preamble();
        self.push(KIND_ALERT, &[alert as u8]);
        self.state = State::Failed;
    }

    fn introduction(&self) -> Introduction {
        let Identity { greeting, life, .. } = &*self.identity;
        Introduction { greeting: greeting.clone(), life: *life, nonce: self.nonce }
    }

    fn say_preamble(&mut self) {
        if !self.preamble_said {
            self.output.extend_from_slice(&preamble(self.identity.key.is_some()));
            self.preamble_said = true;
        }
    }
}

fn preamble(encrypted: bool) -> [u8; PREAMBLE_BYTES] {
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, EXCHANGE, u8::from(encrypted)]
}

fn into_channel(noise: HandshakeState) -> Channel {
    let state = noise.into_stateless_transport_mode().expect("both messages are through");
    Channel::Noise(Box::new(state))
}

fn open<T: DeserializeOwned>(channel: &Channel, sealed: &[u8]) -> Result<T, HandshakeError> {
    let mut plain = Vec::new();
    channel.open(0, sealed, &mut plain).map_err(|NotSealed| HandshakeError::NotAuthenticated)?;
    wire::decode(&plain).map_err(|_| HandshakeError::Malformed)
}

/// Why the peer hung up, as far as it says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Alert {
    /// We came without a secret, and it has one.
    SecretNeeded = 1,
    /// We came with a secret, and it has none.
    NoSecretHere = 2,
    /// Our secret or our cluster's name is not its own.
    NotAuthenticated = 3,
    /// It speaks another version of this exchange.
    OtherExchange = 4,
    /// Something that we do not know; it may be newer.
    Other = 0,
}

impl Alert {
    fn from_code(code: u8) -> Self {
        let known =
            [Self::SecretNeeded, Self::NoSecretHere, Self::NotAuthenticated, Self::OtherExchange];
        known.into_iter().find(|&alert| alert as u8 == code).unwrap_or(Self::Other)
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretNeeded => "the peer wants a secret and we have none; give us the cluster's",
            Self::NoSecretHere => "the peer has no secret and we have one; give it the cluster's",
            Self::NotAuthenticated => {
                "the peer does not share our secret and our cluster's name; give both the same"
            }
            Self::OtherExchange => "the peer speaks another version; upgrade the older one",
            Self::Other => "the peer refuses us, for a reason that only a newer version knows",
        })
    }
}

/// Why a connection comes to nothing. The peer is to be hung up on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The first bytes are not ours; the address is that of something else.
    #[error("the peer does not speak Ordu; check the address")]
    NotOrdu,
    /// The peer is too old or too new.
    #[error("the peer speaks version {theirs} of the handshake, not {EXCHANGE}; upgrade one")]
    OtherExchange {
        /// Its version.
        theirs: u8,
    },
    /// The peer came in plain text.
    #[error("the peer has no secret and we have one; give it the cluster's")]
    PeerHasNoSecret,
    /// The peer came encrypted, and we cannot read it.
    #[error("the peer has a secret and we have none; give us the cluster's")]
    PeerHasSecret,
    /// The peer's secret or cluster is not ours, or bytes were changed on the way.
    #[error("the peer does not share our secret and our cluster's name; give both the same")]
    NotAuthenticated,
    /// The peer says what no node of this version says.
    #[error("the peer's handshake is malformed")]
    Malformed,
    /// The greetings do not agree.
    #[error(transparent)]
    Greeting(GreetingError),
    /// The peer is this very transport.
    #[error("we are the peer ourselves")]
    Ourselves,
    /// The peer hung up and said why.
    #[error("{0}")]
    Alerted(Alert),
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;
