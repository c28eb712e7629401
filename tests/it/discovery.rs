//! Nodes on real sockets that find each other through a file, and through a real name server.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ordu::{DiscoverError, Discovery, DnsSeeds, Node, NodeBuilder, Role, Secret, SeedFile};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::{sleep, timeout};

/// How long the slowest machine may take to do what a fast one does at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often everything is looked up here.
const OFTEN: Duration = Duration::from_millis(100);

fn describe(node: &str, listen: SocketAddr) -> NodeBuilder {
    let secret = Secret::from_bytes((0..32).collect::<Vec<u8>>()).unwrap();
    Node::builder("shop", node).secret(secret).listen(listen)
}

async fn sees(node: &Node, members: usize) {
    let all = async {
        while node.members().len() != members {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let seen = timeout(PATIENCE, all).await;
    assert!(seen.is_ok(), "{} sees {:?}, not {members}", node.id(), node.members());
}

/// A file in a directory of its own, removed at the end.
struct Seeds(PathBuf);

impl Seeds {
    fn new(test: &str) -> Self {
        let directory = std::env::temp_dir();
        let name = format!("ordu-seeds-{}-{test}", std::process::id());
        Self(directory.join(name))
    }

    /// Replaces the whole file at once.
    fn write(&self, text: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

impl Drop for Seeds {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_find_each_other_in_a_file_that_changes() {
    let seeds = Seeds::new("changes");
    let anywhere = (Ipv4Addr::LOCALHOST, 0).into();
    let file = || SeedFile::new(&seeds.0).interval(OFTEN);

    // There is no file yet, and a client begins no cluster of its own.
    let client = describe("c", anywhere).role(Role::Client).discover(file());
    let client = client.start().await.unwrap();
    let error = file().discover().await.unwrap_err();
    let DiscoverError::File { path, source } = error else { panic!("{error:?}") };
    assert_eq!((path, source.kind()), (seeds.0.clone(), io::ErrorKind::NotFound));

    let member = describe("a", anywhere).start().await.unwrap();
    member.ready(PATIENCE).await.unwrap();
    seeds.write(&format!("# those that know the cluster\n{}\n", member.local_addr()));
    client.ready(PATIENCE).await.unwrap();
    sees(&client, 2).await;

    // A slip of the pen costs nobody what was found before.
    seeds.write(&"x".repeat(256));
    let error = file().discover().await.unwrap_err();
    assert!(matches!(error, DiscoverError::Line { line: 1, .. }), "{error:?}");
    sleep(3 * OFTEN).await;
    assert_eq!(client.members().len(), 2);
    member.halt().await;
    client.halt().await;
}

/// Answers every question for addresses with those that it is given, on UDP; the smallest name
/// server that a resolver takes for one.
struct NameServer {
    address: SocketAddr,
    ips: Arc<Mutex<Vec<IpAddr>>>,
    asked: Arc<Mutex<u64>>,
}

/// The only name that it knows.
const NAME: &str = "shop.test.";

impl NameServer {
    async fn start(ips: &[IpAddr]) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let ips = Arc::new(Mutex::new(ips.to_vec()));
        let asked = Arc::new(Mutex::new(0));
        let (known, count) = (Arc::clone(&ips), Arc::clone(&asked));
        tokio::spawn(async move {
            let mut question = [0; 512];
            loop {
                let Ok((length, from)) = socket.recv_from(&mut question).await else { continue };
                let answer = answer(&question[..length], &known.lock().unwrap());
                *count.lock().unwrap() += 1;
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        Self { address, ips, asked }
    }

    fn set(&self, ips: &[IpAddr]) {
        *self.ips.lock().unwrap() = ips.to_vec();
    }

    fn seeds(&self, port: u16) -> DnsSeeds {
        DnsSeeds::new(NAME, port).name_server(self.address).interval(OFTEN)
    }
}

/// Returns the answer to a question, as RFC 1035 has it.
fn answer(question: &[u8], ips: &[IpAddr]) -> Vec<u8> {
    // The name: labels with their lengths, up to an empty one; then its type and class.
    let mut end = 12;
    let mut name = String::new();
    while question[end] != 0 {
        let label = &question[end + 1..][..usize::from(question[end])];
        name += &(std::str::from_utf8(label).unwrap().to_lowercase() + ".");
        end += label.len() + 1;
    }
    let kind = u16::from_be_bytes([question[end + 1], question[end + 2]]);
    let asked = &question[12..end + 5];
    let is_known = name == NAME && !ips.is_empty();
    let octets = ips.iter().filter_map(|ip| match (kind, ip) {
        (1, IpAddr::V4(ip)) => Some(ip.octets().to_vec()),
        (28, IpAddr::V6(ip)) => Some(ip.octets().to_vec()),
        _ => None,
    });
    let octets: Vec<Vec<u8>> = octets.filter(|_| is_known).collect();

    let mut bytes = question[..2].to_vec();
    // A response, authoritative, recursion available; and 3 for a name that does not exist.
    bytes.extend([0x85, if is_known { 0x80 } else { 0x83 }]);
    bytes.extend([0, 1, 0, u8::try_from(octets.len()).unwrap(), 0, 0, 0, 0]);
    bytes.extend(asked);
    for octets in octets {
        // The name of the question, its type, class IN, an hour to live.
        bytes.extend([0xc0, 12]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0x0e, 0x10, 0, u8::try_from(octets.len()).unwrap()]);
        bytes.extend(octets);
    }
    bytes
}

fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// Returns a port that is free on the loopback addresses 1 to 3.
async fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_find_each_other_by_one_name_as_pods_of_a_headless_service_do() {
    let server = NameServer::start(&[]).await;
    let port = free_port().await;
    let pod = |node: &str, last: u8| {
        let listen = SocketAddr::new(loopback(last), port);
        describe(node, listen).discover(server.seeds(port))
    };

    // The name server knows of nobody, and an hour of its answers' life has not passed when it
    // does: names are resolved afresh each time.
    let error = server.seeds(port).discover().await.unwrap_err();
    assert!(matches!(error, DiscoverError::Resolve { .. }), "{error:?}");
    let a = pod("a", 1).start().await.unwrap();
    let b = pod("b", 2).start().await.unwrap();
    server.set(&[loopback(1), loopback(2)]);
    sees(&a, 2).await;
    sees(&b, 2).await;

    // One more is found by those who know each other already, and finds itself and the dead.
    server.set(&[loopback(1), loopback(2), loopback(3), loopback(4)]);
    let c = pod("c", 3).start().await.unwrap();
    for node in [&a, &b, &c] {
        sees(node, 3).await;
    }
    assert!(4 < *server.asked.lock().unwrap());
    for node in [a, b, c] {
        node.halt().await;
    }
}

#[tokio::test]
async fn addresses_of_both_kinds_are_found_and_in_one_order() {
    let mut ips = vec![IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), loopback(2), loopback(1)];
    let server = NameServer::start(&ips).await;
    for _ in 0..2 {
        let found = server.seeds(4000).discover().await.unwrap();
        let found: Vec<&str> = found.iter().map(|address| address.as_str()).collect();
        assert_eq!(found, ["127.0.0.1:4000", "127.0.0.2:4000", "[::1]:4000"]);
        ips.reverse();
        server.set(&ips);
    }
}
