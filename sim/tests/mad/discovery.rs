//! Nodes with their whole shell that were told of nobody and look each other up, on both
//! transports.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ordu::{Address, DiscoverError, Discovery, Event, Node};
use ordu_sim::mad::{Cluster, Lab, Log, Medium, simulate};
use ordu_sim::{Host, N1, N2, N3, N4, seeds};

use crate::counter::REST;

/// Where all nodes look each other up, as pods of one service do; fails while it is out of order.
#[derive(Clone)]
struct Directory(Arc<Mutex<Option<Vec<Address>>>>);

impl Directory {
    fn of(hosts: &[Host]) -> Self {
        let directory = Self(Arc::default());
        directory.list(hosts);
        directory
    }

    fn list(&self, hosts: &[Host]) {
        let address = |&host| Address::new(Lab::address(host).to_string()).expect("it is short");
        *self.found() = Some(hosts.iter().map(address).collect());
    }

    fn fail(&self) {
        *self.found() = None;
    }

    fn found(&self) -> MutexGuard<'_, Option<Vec<Address>>> {
        self.0.lock().expect("nobody panics while it is held")
    }

    /// Boots `hosts` machines, whose nodes have nothing but this to find each other by.
    fn boot(&self, log: &Log, medium: Medium, hosts: u16) -> Cluster {
        let directory = self.clone();
        // The description that a cluster begins with names seeds, so another one is begun.
        Cluster::boot(log, medium, hosts, move |host, _| {
            Node::builder("simulated", host.to_string()).discover(directory.clone())
        })
    }
}

#[async_trait::async_trait]
impl Discovery for Directory {
    async fn discover(&self) -> Result<Vec<Address>, DiscoverError> {
        let out_of_order = || DiscoverError::Other { source: "it is out of order".into() };
        self.found().clone().ok_or_else(out_of_order)
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// The list is empty, then names everybody, whoever asks included, and a machine that is not there;
/// then there is none, while a node dies and comes back.
async fn a_list_that_comes_and_goes_makes_one_cluster(log: Log, medium: Medium) {
    let directory = Directory::of(&[]);
    let mut cluster = directory.boot(&log, medium, 3);
    cluster.pass(Duration::from_secs(1)).await;
    for host in [N1, N2, N3] {
        assert!(cluster.members(host).is_empty(), "{host} looks for others still");
    }
    let mut events = cluster.node(N1).events();
    directory.list(&[N1, N2, N3, N4]);
    cluster.rest(REST).await;
    let mut ups = 0;
    while ups < 2 {
        let event = events.next().await.expect("the node goes on").expect("nothing was missed");
        let is_up = matches!(event, Event::MemberUp { .. });
        let is_fine = is_up || matches!(event, Event::Joined { .. } | Event::Ready { .. });
        assert!(is_fine, "found in time means never apart: {event:?}");
        ups += usize::from(is_up);
    }

    // Those who stayed go on with what was found last, and find whoever comes back to nothing.
    directory.fail();
    cluster.kill(N3);
    cluster.pass(Duration::from_secs(10)).await;
    cluster.restart(N3);
    cluster.rest(REST).await;
    assert_eq!(cluster.members(N3).len(), 3);
}

/// Two pairs that live apart, for each found only itself, become one when the list names both.
async fn lists_that_disagreed_leave_no_two_clusters(log: Log, medium: Medium) {
    let (left, right) = (Directory::of(&[N1, N2]), Directory::of(&[N3, N4]));
    let lists = [left.clone(), right];
    let cluster = Cluster::boot(&log, medium, 4, move |host, _| {
        let list = if [N1, N2].contains(&host) { &lists[0] } else { &lists[1] };
        Node::builder("simulated", host.to_string()).discover(list.clone())
    });
    cluster.pass(Duration::from_secs(20)).await;
    for host in [N1, N2, N3, N4] {
        assert_eq!(cluster.members(host).len(), 2, "{host} sees {:?}", cluster.members(host));
    }

    // One of the two lists is mended; whoever is found learns of the rest from who found it.
    left.list(&[N1, N2, N3]);
    cluster.rest(REST).await;
    assert_eq!(cluster.members(N4).len(), 4);
}

#[test]
fn nodes_find_each_other_in_a_list_that_comes_and_goes() {
    for medium in Medium::ALL {
        for seed in seeds(2) {
            simulate(seed, move |log| a_list_that_comes_and_goes_makes_one_cluster(log, medium));
        }
    }
}

#[test]
fn clusters_that_began_apart_become_one_once_one_is_found() {
    for medium in Medium::ALL {
        for seed in seeds(2) {
            simulate(seed, move |log| lists_that_disagreed_leave_no_two_clusters(log, medium));
        }
    }
}
