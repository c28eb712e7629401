//! The world that nodes live in unless they are told of another: tokio's runtime, and TCP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ordu_core::NodeId;
use ordu_core::transport::{Runtime, Transport};
use ordu_transport_tcp::{Config, Secret, Tcp, TokioNet};
use tokio::runtime::Handle;

use crate::builder::{NodeBuilder, StartNodeError};

/// Where and how to listen.
#[derive(Debug)]
pub(crate) struct Listening {
    listen: SocketAddr,
    advertise: Option<String>,
    secret: Option<Secret>,
}

impl Default for Listening {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), advertise: None, secret: None }
    }
}

impl NodeBuilder {
    /// Sets what all nodes of the cluster know and nobody else: it authenticates and encrypts
    /// every session. Without one a node listens on loopback only.
    pub fn secret(mut self, secret: Secret) -> Self {
        self.listening.secret = Some(secret);
        self
    }

    /// Sets where to listen; port 0 lets the system choose one. A port of the system's choice on
    /// loopback unless told otherwise.
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listening.listen = address.into();
        self
    }

    /// Sets where peers reach the node, if not where it listens: a host or an IP address, with a
    /// port if that differs, too. Needed where it listens on every interface.
    pub fn advertise(mut self, host: impl Into<String>) -> Self {
        self.listening.advertise = Some(host.into());
        self
    }
}

/// Returns the runtime that the caller runs in.
pub(crate) fn runtime() -> Result<Arc<TokioNet>, StartNodeError> {
    let handle = Handle::try_current()
        .map_err(|source| StartNodeError::NoRuntime { source: source.into() })?;
    Ok(Arc::new(TokioNet::new(handle)))
}

/// Listens for `node`, on the runtime that the caller runs in.
pub(crate) async fn bind(
    cluster: &str,
    node: &NodeId,
    listening: Listening,
) -> Result<(Arc<dyn Transport>, Arc<dyn Runtime>), StartNodeError> {
    let net = runtime()?;
    let mut config = Config::new(cluster, node.clone(), listening.listen);
    config.advertise = listening.advertise;
    config.secret = listening.secret;
    let transport = Tcp::bind(Arc::clone(&net), config)
        .await
        .map_err(|source| StartNodeError::Transport { source: source.into() })?;
    Ok((Arc::new(transport), net))
}
