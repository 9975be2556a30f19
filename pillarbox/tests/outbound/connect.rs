//! Connections over the network of this host.

use std::net::SocketAddr;

use pillarbox::outbound::{Connect as _, Endpoint, TcpConnect};
use tokio::net::TcpListener;

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn connections_come_from_the_address_that_was_set() {
    let (listener, address) = listener().await;
    let endpoint = Endpoint::Tcp { host: "host".into(), address };
    // The one of the other family is for that.
    for (source, from) in [
        (vec!["127.0.0.2"], "127.0.0.2"),
        (vec!["::1", "127.0.0.3"], "127.0.0.3"),
        (vec!["::1"], "127.0.0.1"),
        (vec![], "127.0.0.1"),
    ] {
        let connect = TcpConnect { source: source.iter().map(|ip| ip.parse().unwrap()).collect() };
        let connected = connect.dial(&endpoint).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!((peer.ip().to_string(), connected.local), (from.to_owned(), Some(peer.ip())), "{source:?}");
    }
    // An address that this host does not have is an error, and nothing goes out from another one.
    let connect = TcpConnect { source: vec!["192.0.2.1".parse().unwrap()] };
    assert!(connect.dial(&endpoint).await.is_err());
}
