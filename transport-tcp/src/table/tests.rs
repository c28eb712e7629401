//! Two tables, every order in which what they say can cross, and the losses between.

use ordu_core::Random;

use super::*;

/// A connection between `a` (side 0) and `b` (side 1) that is not settled yet.
struct Connection {
    dialer: usize,
    id: SessionId,
    /// The lives that its two ends belong to.
    lives: [u64; 2],
    phase: Phase,
}

enum Phase {
    /// The dialer knows whom it reached and has not stated anything.
    Introduced,
    /// The statement is on its way.
    Stated(Statement),
    /// The verdict is on its way.
    Decided(Verdict),
}

/// Two nodes and the connections between them; a session is known by its id.
struct Pair {
    tables: [Table<SessionId>; 2],
    lives: [u64; 2],
    connections: Vec<Connection>,
    /// Sides that have yet to notice that the other one hung up.
    hung_up: Vec<(SessionId, usize)>,
    dialled: u64,
}

impl Pair {
    fn new() -> Self {
        Self {
            tables: [Table::new(name(0)), Table::new(name(1))],
            lives: [100, 200],
            connections: Vec::new(),
            hung_up: Vec::new(),
            dialled: 0,
        }
    }

    fn dial(&mut self, dialer: usize) {
        self.dialled += 1;
        let id = SessionId(self.dialled, 0);
        let lives = self.lives;
        self.connections.push(Connection { dialer, id, lives, phase: Phase::Introduced });
    }

    /// Lets one thing happen, on a connection or at a side that was hung up on.
    fn step(&mut self, random: &mut Random) {
        let at = below(random, self.connections.len() + self.hung_up.len());
        if at < self.connections.len() {
            self.advance(at);
        } else {
            self.notice(at - self.connections.len());
        }
    }

    fn is_over(&self) -> bool {
        self.connections.is_empty() && self.hung_up.is_empty()
    }

    /// Lets connection `index` take one step.
    fn advance(&mut self, index: usize) {
        let mut connection = self.connections.remove(index);
        let (dialer, acceptor) = (connection.dialer, 1 - connection.dialer);
        let peer = |side: usize| Peer {
            node: name(side),
            life: connection.lives[side],
            session: connection.id,
        };
        match connection.phase {
            Phase::Introduced => {
                let statement = self.tables[dialer].state(&peer(acceptor));
                connection.phase = Phase::Stated(statement);
                self.connections.insert(index, connection);
            }
            Phase::Stated(statement) => {
                let table = &mut self.tables[acceptor];
                let (verdict, outcome) = table.decide(&peer(dialer), &statement, connection.id);
                if let Outcome::Admitted { replaced: Some(old) } = outcome {
                    self.hung_up.push((old, dialer));
                }
                connection.phase = Phase::Decided(verdict);
                self.connections.insert(index, connection);
            }
            Phase::Decided(verdict) => {
                let (id, peer) = (connection.id, peer(acceptor));
                match self.tables[dialer].settle(&peer, verdict, id) {
                    Outcome::Admitted { replaced: Some(old) } => self.hung_up.push((old, acceptor)),
                    Outcome::Admitted { replaced: None } => (),
                    Outcome::Refused { .. } => self.hung_up.push((id, acceptor)),
                }
            }
        }
    }

    /// Lets a side notice that it was hung up on, after what was said before that.
    fn notice(&mut self, index: usize) {
        let (id, side) = self.hung_up[index];
        let connection = self.connections.iter().position(|connection| connection.id == id);
        if let Some(at) = connection {
            let dialer = self.connections[at].dialer;
            match self.connections[at].phase {
                Phase::Stated(_) if side != dialer => return self.advance(at),
                Phase::Decided(_) if side == dialer => return self.advance(at),
                Phase::Introduced | Phase::Stated(_) | Phase::Decided(_) => self.lose(at),
            }
        }
        self.hung_up.remove(index);
        self.tables[side].end(&name(1 - side), id);
    }

    /// Breaks a connection in its handshake.
    fn lose(&mut self, index: usize) {
        let Connection { dialer, id, lives, .. } = self.connections.remove(index);
        let peer = Peer { node: name(1 - dialer), life: lives[1 - dialer], session: id };
        if lives[dialer] == self.lives[dialer] {
            self.tables[dialer].abandon(&peer);
        }
        self.hung_up.push((id, 1 - dialer));
    }

    /// Starts `side` again. What it held stays held at the other end.
    fn restart(&mut self, side: usize) {
        self.tables[side] = Table::new(name(side));
        self.lives[side] += 1;
        // The connections of its last life are gone; its peer's own dials fail.
        for index in (0..self.connections.len()).rev() {
            if self.connections[index].dialer == side {
                self.connections.remove(index);
            } else {
                self.lose(index);
            }
        }
    }

    fn held(&self) -> [Option<SessionId>; 2] {
        [self.tables[0].held(&name(1)), self.tables[1].held(&name(0))]
    }

    fn run_to_the_end(&mut self, random: &mut Random) {
        while !self.is_over() {
            self.step(random);
        }
    }
}

fn name(side: usize) -> NodeId {
    NodeId::new(["a", "b"][side]).unwrap()
}

fn below(random: &mut Random, bound: usize) -> usize {
    random.below(bound as u64) as usize
}

/// Whatever crosses on the way, two nodes that dial each other end with one session, the same.
#[test]
fn both_ends_keep_the_same_connection() {
    let mut kept = [0; 2];
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut pair = Pair::new();
        pair.dial(0);
        pair.dial(1);
        if seed % 3 == 0 {
            pair.dial(below(&mut random, 2));
        }
        pair.run_to_the_end(&mut random);

        let [at_a, at_b] = pair.held();
        assert_eq!(at_a, at_b, "seed {seed}");
        let id = at_a.unwrap_or_else(|| panic!("nobody got through, seed {seed}"));
        kept[(id.0 == 2) as usize] += 1;
        assert!(pair.tables.iter().all(|table| table.peers.len() == 1), "seed {seed}");
    }
    assert!(kept.iter().all(|&kept| kept > 100), "both ways were taken: {kept:?}");
}

/// Once a session stands at both ends, nothing that was said before it can replace it.
#[test]
fn what_was_overtaken_replaces_nothing() {
    for seed in 0..5_000 {
        let mut random = Random::new(seed);
        let mut pair = Pair::new();
        pair.dial(0);
        pair.dial(1);
        let mut standing = None;
        while !pair.is_over() {
            pair.step(&mut random);
            if let [Some(a), Some(b)] = pair.held()
                && a == b
            {
                assert!(standing.is_none_or(|before| before == a), "replaced, seed {seed}");
                standing = Some(a);
            }
        }
        assert!(standing.is_some(), "seed {seed}");
    }
}

/// A peer that started again is let in at once, whoever dials, although its old session is held.
#[test]
fn a_restarted_peer_replaces_its_dead_session() {
    for (side, dialer) in [(0, 0), (1, 1)] {
        let mut pair = Pair::new();
        let mut random = Random::new(7);
        pair.dial(0);
        pair.run_to_the_end(&mut random);
        let dead = pair.held()[0].unwrap();

        pair.restart(side);
        assert_eq!(pair.held()[1 - side], Some(dead), "the other end knows nothing of it");
        pair.dial(dialer);
        pair.run_to_the_end(&mut random);
        let [at_a, at_b] = pair.held();
        assert_eq!(at_a, at_b);
        assert_ne!(at_a, Some(dead));
    }
}

/// A peer that closed its end and dials again is let in at once, although it never restarted.
#[test]
fn a_peer_that_lost_the_session_replaces_it() {
    for side in [0, 1] {
        let mut pair = Pair::new();
        let mut random = Random::new(7);
        pair.dial(1);
        pair.run_to_the_end(&mut random);
        let dead = pair.held()[0].unwrap();

        pair.tables[side].end(&name(1 - side), dead);
        pair.dial(side);
        pair.run_to_the_end(&mut random);
        let [at_a, at_b] = pair.held();
        assert_eq!(at_a, at_b);
        assert!(at_a.is_some() && at_a != Some(dead), "{at_a:?} after {dead:?}");
    }
}

/// A verdict that its acceptor has given up meanwhile does not replace what came after it.
#[test]
fn an_overtaken_verdict_replaces_nothing() {
    let mut pair = Pair::new();
    pair.dial(1);
    pair.advance(0);
    pair.advance(0);
    let given_up = pair.held()[0].expect("a has admitted b, and b has not heard of it");
    pair.tables[0].end(&name(1), given_up);

    // Now a dials, and that is settled before b hears the old verdict.
    pair.dial(0);
    for _ in 0..3 {
        pair.advance(1);
    }
    let [at_a, at_b] = pair.held();
    assert!(at_a.is_some() && at_a == at_b, "{at_a:?} and {at_b:?}");
    pair.advance(0);
    assert_eq!(pair.held(), [at_a, at_b]);
}

/// A second way to a peer that is connected changes nothing.
#[test]
fn a_live_session_is_not_replaced_by_another_address() {
    for dialer in [0, 1] {
        let mut pair = Pair::new();
        let mut random = Random::new(7);
        pair.dial(0);
        pair.run_to_the_end(&mut random);
        let before = pair.held();
        pair.dial(dialer);
        pair.run_to_the_end(&mut random);
        assert_eq!(pair.held(), before);
    }
}

/// Through restarts, lost connections and dials of both, whoever dials last gets through.
#[test]
fn after_any_trouble_dialling_again_ends_it() {
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut pair = Pair::new();
        for _ in 0..30 {
            let open = pair.connections.len();
            match below(&mut random, 8) {
                0 | 1 if open < 4 => pair.dial(below(&mut random, 2)),
                2 if seed % 2 == 0 => pair.restart(below(&mut random, 2)),
                3 if open > 0 => pair.lose(below(&mut random, open)),
                4 => {
                    // One end gives up what it holds; the other does not notice.
                    let side = below(&mut random, 2);
                    if let Some(id) = pair.held()[side] {
                        pair.tables[side].end(&name(1 - side), id);
                    }
                }
                _ if !pair.is_over() => pair.step(&mut random),
                _ => (),
            }
        }

        // The trouble is over: whoever has no session dials until it has one.
        for round in 0.. {
            pair.run_to_the_end(&mut random);
            let [at_a, at_b] = pair.held();
            if at_a.is_some() && at_a == at_b {
                break;
            }
            assert!(round < 4, "still {at_a:?} and {at_b:?}, seed {seed}");
            if at_a.is_none() || at_b.is_some() {
                pair.tables[0].end(&name(1), at_a.unwrap_or(SessionId(0, 0)));
                pair.dial(0);
            }
            if at_b.is_none() {
                pair.dial(1);
            }
        }
    }
}
