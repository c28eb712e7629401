//! Metadata of registries, as users handle them.

use std::collections::BTreeMap;
use std::time::Duration;

use ordu::{Blob, Name, NameError, Replicas, UnknownRegistry, WriteMetaError};

use crate::cluster::{three, until};
use crate::names::ready;

/// B91, B92. What is put is read, in its own registry alone; of what is not nothing is read.
#[tokio::test(start_paused = true)]
async fn what_is_put_is_read_until_it_is_deleted() {
    let node = ready().await;
    let (carts, other) = (node.registry("carts"), node.registry("default"));
    assert_eq!(carts.meta("schema"), None);
    assert_eq!(carts.metadata(), Ok(BTreeMap::new()));

    carts.put_meta("schema", "3").await.unwrap();
    carts.put_meta(b"\x00\xff", vec![1, 2]).await.unwrap();
    assert_eq!(carts.meta("schema"), Some(Blob::from("3")));
    assert_eq!(other.meta("schema"), None);
    carts.put_meta("schema", "4").await.unwrap();
    let keys = [Name::new(b"\x00\xff").unwrap(), Name::new("schema").unwrap()];
    let values = [Blob::from(vec![1, 2]), Blob::from("4")];
    assert_eq!(carts.metadata(), Ok(keys.into_iter().zip(values).collect()));
    assert_eq!((carts.count(), carts.lookup("schema")), (0, None), "metadata is no name");

    // A delete is a delete, also of what is not there.
    carts.delete_meta("schema").await.unwrap();
    carts.delete_meta("schema").await.unwrap();
    carts.delete_meta("nothing").await.unwrap();
    assert_eq!(carts.meta("schema"), None);
    node.halt().await;
    assert_eq!(carts.meta(b"\x00\xff"), None, "a node that is over knows nothing any more");
}

/// Every refusal says what is wrong, and leaves what there is.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_refused_and_changes_nothing() {
    let node = ready().await;
    let carts = node.registry("carts");
    let unknown = UnknownRegistry {
        name: "crats".into(),
        declared: ["carts", "default"].map(str::to_owned).to_vec(),
    };
    let crats = node.registry("crats");
    assert_eq!(crats.put_meta("x", "y").await, Err(unknown.clone().into()));
    assert_eq!(crats.delete_meta("x").await, Err(unknown.clone().into()));
    assert_eq!((crats.meta("x"), crats.metadata()), (None, Err(unknown)));

    assert_eq!(carts.put_meta("", "y").await, Err(NameError::Empty.into()));
    let source = NameError::TooLong { bytes: 513, max: 512 };
    assert_eq!(carts.delete_meta("x".repeat(513)).await, Err(WriteMetaError::BadKey { source }));
    assert_eq!(carts.meta(""), None);

    let (bytes, max) = ((64 << 10) + 1, 64 << 10);
    carts.put_meta("big", vec![7; max]).await.unwrap();
    let refused = carts.put_meta("big", vec![0; bytes]).await;
    assert_eq!(refused, Err(WriteMetaError::TooLarge { bytes, max }));
    assert_eq!(carts.meta("big"), Some(Blob::from(vec![7; max])));

    let alone = carts.put_meta("big", "small").replicated(Replicas::Two);
    let alone = alone.timeout(Duration::from_millis(100)).await;
    assert_eq!(alone, Err(WriteMetaError::TimedOut { wanted: 2 }));
    assert_eq!(carts.meta("big"), Some(Blob::from("small")), "it is written here all the same");
    node.halt().await;
}

/// A registry has room for so many; what was deleted takes its place for a while, and what is there
/// can be changed and deleted always. Another registry has room of its own.
#[tokio::test(start_paused = true)]
async fn a_full_registry_says_so() {
    let node = ready().await;
    let (carts, other) = (node.registry("carts"), node.registry("default"));
    let max = 1_024;
    for number in 0..max {
        carts.put_meta(format!("key {number}"), "1").await.unwrap();
    }
    let refused = Err(WriteMetaError::TooMany { max });
    assert_eq!(carts.put_meta("one more", "1").await, refused);
    carts.put_meta("key 7", "2").await.unwrap();
    other.put_meta("one more", "1").await.unwrap();
    carts.delete_meta("key 8").await.unwrap();
    assert_eq!(carts.put_meta("one more", "1").await, refused);
    assert_eq!(carts.metadata().unwrap().len(), max - 1);

    tokio::time::sleep(Duration::from_secs(11 * 60)).await;
    carts.put_meta("one more", "1").await.unwrap();
    assert_eq!(carts.metadata().unwrap().len(), max);
    node.halt().await;
}

/// B93, B94. Metadata is the same on every node, and outlives the node that wrote it.
#[tokio::test]
async fn metadata_is_read_on_every_node_and_outlives_its_writer() {
    let [a, b, c] = three().await;
    let [on_a, on_b, on_c] = [&a, &b, &c].map(|node| node.registry("default"));
    let token = on_a.put_meta("kept", "1").replicated(Replicas::All).await.unwrap();
    b.caught_up(&token).await.unwrap();
    assert_eq!(on_b.meta("kept"), Some(Blob::from("1")));
    let token = on_b.put_meta("deleted", "1").await.unwrap();
    c.caught_up(&token).await.unwrap();
    assert_eq!(on_c.meta("deleted"), Some(Blob::from("1")));
    on_c.delete_meta("deleted").await.unwrap();
    until("the delete is everywhere", async || {
        on_a.meta("deleted").is_none() && on_b.meta("deleted").is_none()
    })
    .await;

    a.halt().await;
    assert_eq!(on_c.meta("kept"), Some(Blob::from("1")));
    on_c.put_meta("kept", "2").await.unwrap();
    until("it can be replaced", async || on_b.meta("kept") == Some(Blob::from("2"))).await;
    b.halt().await;
    c.halt().await;
}
