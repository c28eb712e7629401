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
    dialled: u64,
}

impl Pair {
    fn new() -> Self {
        Self {
            tables: [Table::new(name(0)), Table::new(name(1))],
            lives: [100, 200],
            connections: Vec::new(),
            dialled: 0,
        }
    }

    fn dial(&mut self, dialer: usize) {
        self.dialled += 1;
        let id = SessionId(self.dialled, 0);
        let lives = self.lives;
        self.connections.push(Connection { dialer, id, lives, phase: Phase::Introduced });
    }

    /// Lets connection `index` take one step.
    fn step(&mut self, index: usize) {
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
                    self.end(old);
                }
                connection.phase = Phase::Decided(verdict);
                self.connections.insert(index, connection);
            }
            Phase::Decided(verdict) => {
                let (id, peer) = (connection.id, peer(acceptor));
                match self.tables[dialer].settle(&peer, verdict, id) {
                    Outcome::Admitted { replaced: Some(old) } => self.end(old),
                    Outcome::Admitted { replaced: None } => (),
                    Outcome::Refused { .. } => self.end(id),
                }
            }
        }
    }

    /// Ends the connection called `id`, at both ends: neither is left half-open here.
    fn end(&mut self, id: SessionId) {
        for side in [0, 1] {
            self.tables[side].end(&name(1 - side), id);
        }
        if let Some(index) = self.connections.iter().position(|c| c.id == id) {
            self.lose(index);
        }
    }

    /// Breaks a connection in its handshake.
    fn lose(&mut self, index: usize) {
        let Connection { dialer, id, lives, .. } = self.connections.remove(index);
        let peer = Peer { node: name(1 - dialer), life: lives[1 - dialer], session: id };
        if lives[dialer] == self.lives[dialer] {
            self.tables[dialer].abandon(&peer);
        }
        self.tables[1 - dialer].end(&name(dialer), id);
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
        while !self.connections.is_empty() {
            self.step(below(random, self.connections.len()));
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
        while !pair.connections.is_empty() {
            let index = below(&mut random, pair.connections.len());
            pair.step(index);
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
                _ if open > 0 => pair.step(below(&mut random, open)),
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
