//! The machines of a simulation, and what can be done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use madsim::net::NetSim;
use madsim::runtime::{Handle, NodeHandle};

use crate::Host;

/// The machines of one simulation and the links between them.
pub struct Lab {
    handle: Handle,
    net: Arc<NetSim>,
    machines: BTreeMap<Host, NodeHandle>,
    clogged: BTreeSet<(Host, Host)>,
}

impl Lab {
    /// The port that nodes listen on.
    pub const PORT: u16 = 7_000;

    /// Returns an empty lab, within a simulation.
    ///
    /// # Panics
    ///
    /// Panics outside one.
    pub fn new() -> Self {
        Self {
            handle: Handle::current(),
            net: NetSim::current(),
            machines: BTreeMap::new(),
            clogged: BTreeSet::new(),
        }
    }

    /// Returns where the node of `host` listens.
    pub fn address(host: Host) -> SocketAddr {
        SocketAddr::new(ip(host), Self::PORT)
    }

    /// Boots `host`: `life` makes the one task that a life of it begins with, at each start anew.
    /// The machine is off once that task ends.
    ///
    /// # Panics
    ///
    /// Panics if it is there already.
    pub fn boot<F>(&mut self, host: Host, life: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let machine = self.handle.create_node().name(host.to_string()).ip(ip(host)).init(life);
        let before = self.machines.insert(host, machine.build());
        assert!(before.is_none(), "{host} is booted once, and then restarted");
    }

    /// Runs `task` on `host`, beside everything else there.
    pub fn spawn(&self, host: Host, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.machine(host).spawn(task));
    }

    /// Kills everything that runs on `host`; its peers' connections end at once.
    pub fn kill(&self, host: Host) {
        self.handle.kill(self.machine(host).id());
    }

    /// Kills everything that runs on `host`, and begins its next life.
    pub fn restart(&self, host: Host) {
        // Without the kill the old life's sockets would stay taken.
        self.kill(host);
        self.handle.restart(self.machine(host).id());
    }

    /// Freezes `host`: its connections stay open and silent.
    pub fn pause(&self, host: Host) {
        self.handle.pause(self.machine(host).id());
    }

    /// Lets a frozen machine go on.
    pub fn thaw(&self, host: Host) {
        self.handle.resume(self.machine(host).id());
    }

    /// Lets the one task of `host` end as on a signal from the keyboard.
    pub fn interrupt(&self, host: Host) {
        self.handle.send_ctrl_c(self.machine(host).id());
    }

    /// Cuts the way from `from` to `to`; what is sent meanwhile arrives after the heal.
    pub fn cut_one_way(&mut self, from: Host, to: Host) {
        if self.clogged.insert((from, to)) {
            self.net.clog_link(self.machine(from).id(), self.machine(to).id());
        }
    }

    /// Mends the way from `from` to `to`. A connection that was cut for long goes on within ten
    /// seconds.
    pub fn mend_one_way(&mut self, from: Host, to: Host) {
        if self.clogged.remove(&(from, to)) {
            self.net.unclog_link(self.machine(from).id(), self.machine(to).id());
        }
    }

    /// Cuts every link between the two sides, both ways.
    pub fn partition(&mut self, left: &[Host], right: &[Host]) {
        for &a in left {
            for &b in right {
                self.cut_one_way(a, b);
                self.cut_one_way(b, a);
            }
        }
    }

    /// Mends every link. A connection that was cut for long goes on within ten seconds.
    pub fn heal(&mut self) {
        for (from, to) in std::mem::take(&mut self.clogged) {
            self.net.unclog_link(self.machine(from).id(), self.machine(to).id());
        }
    }

    /// Sets how long all packets take.
    pub fn set_latency(&self, latency: Range<Duration>) {
        self.net.update_config(|config| config.send_latency = latency);
    }

    /// Sets how many packets of a thousand are lost; on a connection that is a delay.
    pub fn set_loss_per_mille(&self, loss_per_mille: u16) {
        let rate = f64::from(loss_per_mille) / 1_000.0;
        self.net.update_config(|config| config.packet_loss_rate = rate);
    }

    fn machine(&self, host: Host) -> &NodeHandle {
        self.machines.get(&host).unwrap_or_else(|| panic!("{host} is not booted"))
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

fn ip(host: Host) -> IpAddr {
    let [high, low] = host.number().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
}
