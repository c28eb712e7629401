//! Names of hosts, resolved again and again.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use ordu_core::transport::Address;
use tokio::runtime::Handle;

use crate::discovery::{DiscoverError, Discovery};

/// A name whose addresses, A and AAAA, are those of members: a headless service of Kubernetes, for
/// one. Asks the system's name servers, afresh each time; needs tokio.
///
/// ```no_run
/// use ordu::{DnsSeeds, Node};
///
/// let service = DnsSeeds::new("shop.default.svc.cluster.local", 4000);
/// let node = Node::builder("shop", "a").discover(service);
/// # drop(node);
/// ```
#[derive(Clone, Debug)]
pub struct DnsSeeds {
    name: String,
    port: u16,
    interval: Duration,
    servers: Vec<SocketAddr>,
}

impl DnsSeeds {
    /// How long a name server may take; it is asked twice.
    const TIMEOUT: Duration = Duration::from_secs(3);

    /// Looks for members on port `port` of the addresses of `name`, every 30 s.
    pub fn new(name: impl Into<String>, port: u16) -> Self {
        let (interval, servers) = (Duration::from_secs(30), Vec::new());
        Self { name: name.into(), port, interval, servers }
    }

    /// Sets how often the name is resolved, give or take a quarter.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Adds a name server to ask, instead of the system's.
    pub fn name_server(mut self, address: impl Into<SocketAddr>) -> Self {
        self.servers.push(address.into());
        self
    }

    /// Returns a resolver that remembers nothing: a pod that is gone is not to be found.
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = self.servers.iter().map(|server| name_server(*server)).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = Self::TIMEOUT;
        options.attempts = 2;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        builder.build()
    }
}

#[async_trait]
impl Discovery for DnsSeeds {
    async fn discover(&self) -> Result<Vec<Address>, DiscoverError> {
        let name = || self.name.clone();
        if Handle::try_current().is_err() {
            return Err(DiscoverError::NoTokio { name: name() });
        }
        let failed = |error: NetError| {
            let source = error.into();
            DiscoverError::Resolve { name: name(), source }
        };
        let resolver = self.resolver().map_err(failed)?;
        let found = resolver.lookup_ip(self.name.as_str()).await.map_err(failed)?;
        // Name servers turn answers round; the same addresses are no news in another order.
        let ips: BTreeSet<IpAddr> = found.iter().collect();
        let address = |ip| {
            let text = SocketAddr::new(ip, self.port).to_string();
            Address::new(text).expect("an IP address and a port are neither empty nor long")
        };
        Ok(ips.into_iter().map(address).collect())
    }

    fn interval(&self) -> Duration {
        self.interval
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}
