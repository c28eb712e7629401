//! Members of different versions of a program, and of this library.

use ordu_core::crdt::Written;
use ordu_core::message::Message;
use ordu_core::{Blob, Input, Node, Output, Time, TimerKind};
use ordu_sim::{Host, Machine, MachineMaker, N1, N2, N3, World, named, seeds};

use crate::{LONG, SETTLE, start_children};

/// The key under which a member says what it is.
const MEMBER: &[u8] = &[0];

/// A node that cannot read what the third one says of itself, in whatever way that reaches it.
///
/// It is not watched for what nodes promise: it is told what nobody wrote.
struct Reader(Node);

impl Machine for Reader {
    fn handle(&mut self, now: Time, mut input: Input) {
        if let Input::Message { envelope, .. } = &mut input
            && let Message::Delta(delta) = &mut envelope.message
            && *delta.replica.node() == N3.id()
        {
            let entries = delta.entries.iter_mut().filter(|entry| entry.key.as_bytes() == MEMBER);
            for entry in entries {
                let Written::Value(value) = &mut entry.written else { continue };
                let mut bytes = value.as_bytes().to_vec();
                bytes[0] = 250;
                *value = Blob::from(bytes);
            }
        }
        self.0.handle(now, input);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.0.poll_output()
    }

    fn poll_timeout(&self) -> Option<(Time, TimerKind)> {
        self.0.poll_timeout()
    }

    fn state_hash(&self) -> u64 {
        self.0.state_hash()
    }
}

/// B146. A new release comes node by node: whoever has no code for a kind is given none of it, even
/// where it is asked to start one.
#[test]
fn a_kind_is_placed_where_there_is_code_for_it() {
    for seed in seeds(10) {
        let mut world = World::builder(seed, 3).lacking(N3, "counter").joined();
        for number in 0..8 {
            let named = named("counter", &format!("c/{number}"));
            let asked = [N1, N2, N3][number % 3];
            world.start_child(asked, named).expect("two nodes can run it");
        }
        world.settle(SETTLE);
        assert_eq!(world.load(N3), 0, "seed {seed}");

        // Nor does it take any over.
        world.kill(N1);
        world.run_for(LONG);
        world.settle(SETTLE);
        assert_eq!((world.load(N2), world.load(N3)), (8, 0), "seed {seed}");
    }
}

/// A member that speaks of itself in words of a later version is known to be there, and runs
/// nothing of ours; nobody waits for it to say something else before children are placed.
#[test]
fn a_member_that_nobody_can_read_keeps_nobody_from_placing_children() {
    for seed in seeds(10) {
        let maker: MachineMaker =
            Box::new(|config, seed, now| Box::new(Reader(Node::new(config, seed, now))));
        let mut world = World::builder(seed, 3).machines(maker).lacking(N3, "counter").build();
        world.run_for(SETTLE);
        for host in [N1, N2] {
            let third = &world.members(host)[&N3.id()];
            assert_eq!((third.address.as_ref(), third.kinds.len()), (None, 0), "seed {seed}");
        }
        let children = start_children(&mut world, "counter", 8);
        let loads = |world: &World, hosts: [Host; 2]| hosts.map(|host| world.load(host));
        assert_eq!(loads(&world, [N1, N2]).iter().sum::<usize>(), 8, "seed {seed}");

        // What ran on a node that dies goes on, too.
        world.kill(N2);
        world.run_for(LONG);
        assert_eq!(loads(&world, [N1, N3]), [8, 0], "seed {seed}");
        for &child in &children {
            assert_eq!(world.running_child(child), [N1], "seed {seed}");
        }
    }
}
