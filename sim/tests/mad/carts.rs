//! The worked example of `SIMULATION.md` once more, with the real process: the same items, the same
//! rule, the same promises, on both transports.

use std::time::Duration;

use ordu::{ChildSpec, Context, Process, StartError, StopReason};
use ordu_sim::mad::{Cluster, Log, Medium, Presence, simulate};
use ordu_sim::{Host, N1, N2, N3, seeds};

use crate::counter::REST;
use crate::items::Items;

const NAME: &str = "cart/7";

/// A cart as a service would run it; `KEEPS` says whether its merge keeps what the loser held.
struct Cart<const KEEPS: bool> {
    items: Items,
    _presence: Presence,
}

impl<const KEEPS: bool> Process for Cart<KEEPS> {
    const KIND: &'static str = "cart";
    type Args = ();
    type Message = u64;
    type Reply = Vec<u64>;

    async fn start((): (), context: &mut Context<Self>) -> Result<Self, StartError> {
        let items = Items::from_bytes(context.state().unwrap_or_default());
        let items = items.map_err(StartError::new)?;
        Ok(Self { items, _presence: Presence::new(NAME, context.process_id()) })
    }

    async fn handle(&mut self, order: u64, _: &mut Context<Self>) -> Vec<u64> {
        self.items.add(order);
        self.items.0.iter().copied().collect()
    }

    async fn stop(self, _: StopReason) -> Option<Vec<u8>> {
        Some(self.items.to_bytes())
    }

    async fn absorb(&mut self, state: &[u8]) {
        if KEEPS {
            self.items.merge(&Items::from_bytes(state).expect("it was written so"));
        }
    }
}

async fn shop<const KEEPS: bool>(log: &Log, medium: Medium) -> Cluster {
    let cluster = Cluster::boot(log, medium, 3, |_, builder| builder.kind::<Cart<KEEPS>>());
    cluster.rest(REST).await;
    let spec = ChildSpec::new::<Cart<KEEPS>>(&()).named(NAME);
    cluster.node(N1).supervisor("default").start_child(spec).await.expect("the name is free");
    cluster.rest(REST).await;
    cluster
}

/// Puts an order in from `host`; returns what is in then, if there is an answer.
async fn order<const KEEPS: bool>(cluster: &Cluster, host: Host, order: u64) -> Option<Vec<u64>> {
    let registry = cluster.node(host).registry("default");
    let answer = registry.call::<Cart<KEEPS>>(NAME, &order).await;
    cluster.note(format_args!("{host} orders {order}: {answer:?}"));
    answer.ok()
}

/// Customers order on all machines while one is cut off, and after; nothing may be lost.
async fn customers_order_through_a_split<const KEEPS: bool>(log: Log, medium: Medium) {
    let mut cluster = shop::<KEEPS>(&log, medium).await;
    cluster.assert_at_most_one(NAME);
    let mut told = Vec::new();
    cluster.partition(&[N1, N2], &[N3]);
    for number in 0..30 {
        let host = Host::new(1 + u16::try_from(number % 3).expect("it is small"));
        if order::<KEEPS>(&cluster, host, number).await.is_some() {
            told.push(number);
        }
        cluster.pass(Duration::from_millis(500)).await;
    }
    assert_eq!(cluster.running(NAME).len(), 2, "each side has one");
    cluster.heal();
    cluster.eventually_one(NAME, REST).await;
    cluster.rest(REST).await;

    let all = order::<KEEPS>(&cluster, N2, 1_000).await.expect("the cart is there");
    let all = Items(all.into_iter().collect());
    if let Err(lost) = all.check_holds(told) {
        panic!("no order is lost: {lost}");
    }
}

#[test]
fn no_order_is_lost_when_the_network_splits() {
    for medium in Medium::ALL {
        for seed in seeds(2) {
            simulate(seed, move |log| customers_order_through_a_split::<true>(log, medium));
        }
    }
}

#[test]
#[should_panic(expected = "no order is lost: order")]
fn a_merge_that_forgets_the_loser_is_found() {
    simulate(1, |log| customers_order_through_a_split::<false>(log, Medium::Tcp));
}

#[test]
fn a_cart_runs_on_elsewhere_and_never_twice_where_machines_only_die() {
    for medium in Medium::ALL {
        simulate(1, async move |log| {
            let mut cluster = shop::<true>(&log, medium).await;
            for _ in 0..3 {
                let [host] = cluster.running(NAME)[..] else { panic!("it runs once") };
                cluster.kill(host);
                cluster.eventually_running(NAME, REST).await;
                cluster.eventually_one(NAME, REST).await;
                cluster.restart(host);
                cluster.rest(REST).await;
            }
            cluster.assert_at_most_one(NAME);
        });
    }
}

#[test]
#[should_panic(expected = "at_most_one(\"cart/7\")")]
fn at_most_one_is_broken_by_a_split() {
    simulate(1, async |log| {
        let mut cluster = shop::<true>(&log, Medium::Mem).await;
        cluster.partition(&[N1, N2], &[N3]);
        cluster.pass(Duration::from_secs(20)).await;
        cluster.assert_at_most_one(NAME);
    });
}

#[test]
#[should_panic(expected = "eventually_running(\"nothing\")")]
fn what_never_runs_is_missed() {
    simulate(1, async |log| {
        let cluster = shop::<true>(&log, Medium::Mem).await;
        cluster.eventually_running("nothing", Duration::from_secs(5)).await;
    });
}

#[test]
#[should_panic(expected = "eventually_one(\"cart/7\")")]
fn two_are_not_one() {
    simulate(1, async |log| {
        let mut cluster = shop::<true>(&log, Medium::Mem).await;
        cluster.partition(&[N1, N2], &[N3]);
        cluster.pass(Duration::from_secs(20)).await;
        cluster.eventually_one(NAME, Duration::from_secs(5)).await;
    });
}
