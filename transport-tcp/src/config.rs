//! What a transport is told once, at its start.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ordu_core::limits::{CLUSTER_BYTES_MAX, FRAME_BYTES_MAX};
use ordu_core::{Address, IdError, NodeId};

use crate::secret::Secret;

/// Who this node is, where it listens, and what it shares with its peers.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the cluster; sessions with nodes of another are refused. At most 64 bytes.
    pub cluster: String,
    /// The name of this node.
    pub node: NodeId,
    /// Where to listen; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// Where peers reach this node, if not where it listens: a host or an IP address, with a port
    /// if that differs, too. Needed where `listen` names every interface.
    pub advertise: Option<String>,
    /// What authenticates and encrypts sessions; only on loopback may there be none.
    pub secret: Option<Secret>,
    /// How much of everything; the defaults fit.
    pub limits: Limits,
}

impl Config {
    /// Returns what `node` of `cluster` needs to listen at `listen`, without a secret.
    pub fn new(cluster: impl Into<String>, node: NodeId, listen: SocketAddr) -> Self {
        let (advertise, secret, limits) = (None, None, Limits::default());
        Self { cluster: cluster.into(), node, listen, advertise, secret, limits }
    }

    /// Checks what can be checked before a socket is opened.
    pub(crate) fn check(&self) -> Result<(), BindError> {
        let Self { listen, .. } = *self;
        if self.cluster.is_empty() || self.cluster.len() > CLUSTER_BYTES_MAX {
            return Err(BindError::ClusterName { bytes: self.cluster.len() });
        }
        if self.secret.is_none() && !listen.ip().is_loopback() {
            return Err(BindError::NoSecret { listen });
        }
        if self.advertise.is_none() && listen.ip().is_unspecified() {
            return Err(BindError::NoAdvertise { listen });
        }
        self.limits.check()
    }

    /// Returns where peers reach a transport that is bound at `bound`.
    pub(crate) fn address(&self, bound: SocketAddr) -> Result<Address, BindError> {
        let text = match &self.advertise {
            None => bound.to_string(),
            Some(text) if text.parse::<SocketAddr>().is_ok() => text.clone(),
            Some(text) => match (text.parse(), text.rsplit_once(':')) {
                (Ok(ip), _) => SocketAddr::new(ip, bound.port()).to_string(),
                (Err(_), Some((_, port))) if port.parse::<u16>().is_ok() => text.clone(),
                (Err(_), _) => format!("{text}:{}", bound.port()),
            },
        };
        Address::new(text).map_err(|source| BindError::Advertise { source })
    }
}

/// How much of everything a transport holds, and how long it waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long an attempt to connect may take, and then again the handshake. Higher lets slow
    /// links in, lower gets rid of stalled peers sooner. 5 s.
    pub handshake: Duration,
    /// How long a write may make no progress before its session ends. 10 s.
    pub write_stall: Duration,
    /// How long [`close`](ordu_core::transport::Transport::close) sends what is queued. 1 s.
    pub drain: Duration,
    /// Pause after the first failed attempt to dial; each later one is twice as long. 50 ms.
    pub redial_min: Duration,
    /// Longest pause between attempts to dial. 2 s.
    pub redial_max: Duration,
    /// Bytes of control frames that wait for one peer; at least a frame's limit. 1 MiB.
    pub control_bytes: usize,
    /// Bytes of bulk frames that wait for one peer; at least a frame's limit. 8 MiB.
    pub bulk_bytes: usize,
    /// Bytes of one peer's frames that arrived and wait for
    /// [`next`](ordu_core::transport::Transport::next); past it nothing is read from the peer. At
    /// least two frames' limits. 4 MiB.
    pub inbound_bytes: usize,
    /// Connections accepted at once whose peers have not proved yet who they are. 64.
    pub unauthenticated: usize,
    /// How many of those may come from one IP address; loopback is exempt. 8.
    pub unauthenticated_per_ip: usize,
}

impl Limits {
    fn check(&self) -> Result<(), BindError> {
        let durations = [
            ("handshake", self.handshake),
            ("write_stall", self.write_stall),
            ("redial_min", self.redial_min),
        ];
        for (limit, duration) in durations {
            if duration.is_zero() {
                return Err(BindError::Limit { limit, min: 1 });
            }
        }
        let sizes = [
            ("control_bytes", self.control_bytes, FRAME_BYTES_MAX),
            ("bulk_bytes", self.bulk_bytes, FRAME_BYTES_MAX),
            ("inbound_bytes", self.inbound_bytes, 2 * FRAME_BYTES_MAX),
            ("unauthenticated", self.unauthenticated, 1),
            ("unauthenticated_per_ip", self.unauthenticated_per_ip, 1),
        ];
        for (limit, size, min) in sizes {
            if size < min {
                return Err(BindError::Limit { limit, min });
            }
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            write_stall: Duration::from_secs(10),
            drain: Duration::from_secs(1),
            redial_min: Duration::from_millis(50),
            redial_max: Duration::from_secs(2),
            control_bytes: FRAME_BYTES_MAX,
            bulk_bytes: 8 << 20,
            inbound_bytes: 4 << 20,
            unauthenticated: 64,
            unauthenticated_per_ip: 8,
        }
    }
}

/// Why a transport did not start. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The cluster's name is empty or over 64 bytes; give it one in between.
    #[error("a cluster's name of {bytes} bytes is not between 1 and {CLUSTER_BYTES_MAX}")]
    ClusterName {
        /// How long it is.
        bytes: usize,
    },
    /// Others than this machine could connect, and nothing would authenticate them. Give the
    /// cluster a secret, or listen on loopback.
    #[error("listening at {listen} needs a secret; set one, or listen on loopback")]
    NoSecret {
        /// Where it was to listen.
        listen: SocketAddr,
    },
    /// The node listens on every interface, and none of them is an address for its peers.
    #[error("listening at {listen} tells peers nothing; set `advertise` to where they reach us")]
    NoAdvertise {
        /// Where it was to listen.
        listen: SocketAddr,
    },
    /// What was to be advertised is no address.
    #[error("what is to be advertised is no address")]
    Advertise {
        /// What is wrong with it.
        source: IdError,
    },
    /// A limit is too low to work with.
    #[error("limit {limit} must be at least {min}")]
    Limit {
        /// Which one.
        limit: &'static str,
        /// The lowest that works.
        min: usize,
    },
    /// Something listens there already, perhaps another node; stop it, or take another port.
    #[error("something listens at {listen} already; stop it, or listen at another port")]
    AddrInUse {
        /// Where it was to listen.
        listen: SocketAddr,
    },
    /// The system does not let us listen there.
    #[error("cannot listen at {listen}")]
    Io {
        /// Where it was to listen.
        listen: SocketAddr,
        /// What it says.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str) -> Config {
        Config::new("shop", NodeId::new("a").unwrap(), listen.parse().unwrap())
    }

    #[test]
    fn beyond_loopback_there_must_be_a_secret() {
        assert!(config("127.0.0.1:0").check().is_ok());
        assert!(config("[::1]:0").check().is_ok());
        for listen in ["0.0.0.0:0", "192.0.2.1:7000", "[::]:0"] {
            let error = config(listen).check().unwrap_err();
            assert!(matches!(error, BindError::NoSecret { .. }), "{error}");
            assert!(error.to_string().contains(listen), "{error}");
        }
    }

    #[test]
    fn every_interface_is_no_address() {
        let secret = Secret::from_bytes((0..32).collect::<Vec<u8>>()).unwrap();
        let mut config = Config { secret: Some(secret), ..config("0.0.0.0:0") };
        assert!(matches!(config.check(), Err(BindError::NoAdvertise { .. })));
        config.advertise = Some(String::from("a.example"));
        assert!(config.check().is_ok());
    }

    #[test]
    fn an_advertised_host_gets_the_port_that_was_bound() {
        let bound = "127.0.0.1:7000".parse().unwrap();
        let address = |advertise: Option<&str>| {
            let advertise = advertise.map(String::from);
            Config { advertise, ..config("127.0.0.1:0") }.address(bound).map(String::from).unwrap()
        };
        assert_eq!(address(None), "127.0.0.1:7000");
        assert_eq!(address(Some("a.example")), "a.example:7000");
        assert_eq!(address(Some("a.example:80")), "a.example:80");
        assert_eq!(address(Some("192.0.2.1")), "192.0.2.1:7000");
        assert_eq!(address(Some("2001:db8::1")), "[2001:db8::1]:7000");
        assert_eq!(address(Some("[2001:db8::1]:80")), "[2001:db8::1]:80");
    }

    #[test]
    fn limits_that_cannot_work_are_refused() {
        let mut config = config("127.0.0.1:0");
        config.limits.bulk_bytes = FRAME_BYTES_MAX;
        assert!(config.check().is_ok());
        config.limits.bulk_bytes = FRAME_BYTES_MAX - 1;
        assert!(matches!(config.check(), Err(BindError::Limit { limit: "bulk_bytes", .. })));

        let mut config = self::config("127.0.0.1:0");
        config.cluster = "c".repeat(CLUSTER_BYTES_MAX + 1);
        assert!(matches!(config.check(), Err(BindError::ClusterName { bytes: 65 })));
    }
}
