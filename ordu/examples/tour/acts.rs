//! What happens to the cluster: five acts, each with the count of what came of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::try_join;

use crate::Failure;
use crate::cluster::{Cluster, within};
use crate::report::{Act, millis};
use crate::words::{Member, Request};

/// The node that is killed and comes back.
const KILLED: usize = 1;
/// The node that is frozen for a while.
const FROZEN: usize = 2;
/// The larger side of the cut.
const LEFT: [usize; 3] = [0, 1, 2];
/// The smaller side of the cut.
const RIGHT: [usize; 2] = [3, 4];
/// The node that leaves in the end.
const LEAVER: usize = 4;

/// How many acts there are.
pub(crate) const ACTS: usize = 5;

/// How one act went, before the cluster came to rest.
struct Course {
    name: &'static str,
    affected: usize,
    /// Children that ran more than once meanwhile.
    twice: BTreeSet<usize>,
    /// Children that somebody waited for in vain meanwhile; they count as lost, back or not.
    silent: BTreeSet<usize>,
    detected: Duration,
    recovered: Duration,
}

impl Course {
    fn new(name: &'static str, affected: usize, twice: BTreeSet<usize>, watched: Watched) -> Self {
        let Watched { detected, recovered, silent } = watched;
        Self { name, affected, twice, silent, detected, recovered }
    }
}

/// Plays all acts, one after the other; tells `curtain` of each once it is over.
pub(crate) async fn play(
    cluster: &mut Cluster,
    children: usize,
    curtain: &mut dyn FnMut(&Act),
) -> Result<Vec<Act>, Failure> {
    let mut acts = Vec::new();
    for act in 0..ACTS {
        let course = match act {
            0 => kill(cluster).await?,
            1 => restart(cluster, children).await?,
            2 => freeze(cluster).await?,
            3 => cut(cluster).await?,
            _ => leave(cluster).await?,
        };
        let act = judge(cluster, course).await?;
        curtain(&act);
        acts.push(act);
    }
    Ok(acts)
}

/// Waits until the cluster has come to rest, and counts what is left.
async fn judge(cluster: &Cluster, course: Course) -> Result<Act, Failure> {
    cluster.all_see_each_other().await?;
    cluster.settle().await?;
    let census = cluster.census().await?;
    let Course { name, affected, twice, silent, detected, recovered } = course;
    Ok(Act {
        name,
        affected,
        lost: census.lost.union(&silent).count(),
        double: census.double.len(),
        resolved: twice.difference(&census.double).count(),
        detect_ms: millis(detected),
        recover_ms: millis(recovered),
    })
}

/// A process is gone from one moment to the next; its children start elsewhere.
async fn kill(cluster: &mut Cluster) -> Result<Course, Failure> {
    let affected = cluster.running(KILLED).await?;
    let others = cluster.all_but(KILLED);

    let began = Instant::now();
    cluster.take(KILLED).kill().await?;
    let watched = watch(cluster, began, &others, &[KILLED], &affected).await?;

    Ok(Course::new("kill", affected.len(), BTreeSet::new(), watched))
}

/// It comes back under its own name with nothing remembered, and must learn where everybody is.
async fn restart(cluster: &mut Cluster, children: usize) -> Result<Course, Failure> {
    let others = cluster.all_but(KILLED);
    let before = cluster.node(others[0]).members();
    let old_life = before.get(&crate::cluster::name(KILLED)).map_or(0, |member| member.life);

    let began = Instant::now();
    cluster.start_node(KILLED, 0).await?;
    let reborn = |member: Option<Member>| member.is_some_and(|m| m.up && m.life > old_life);
    cluster.see(&others, &[KILLED], reborn).await?;
    let detected = began.elapsed();
    let everyone: Vec<usize> = (0..children).collect();
    let silent = cluster.call_until_answered(&[KILLED], &everyone).await?;
    let watched = Watched { detected, recovered: began.elapsed(), silent };

    // Nothing that runs is moved for its sake.
    Ok(Course::new("restart", 0, BTreeSet::new(), watched))
}

/// A process stands still for longer than the others wait, and then goes on as if it had not.
async fn freeze(cluster: &mut Cluster) -> Result<Course, Failure> {
    let affected = cluster.running(FROZEN).await?;
    let others = cluster.all_but(FROZEN);

    let began = Instant::now();
    cluster.node(FROZEN).freeze()?;
    let watched = watch(cluster, began, &others, &[FROZEN], &affected).await?;

    // It could not be asked while it stood still, but what it ran it still holds.
    let mut elsewhere = BTreeSet::new();
    for &other in &others {
        elsewhere.extend(cluster.running(other).await?);
    }
    let twice = affected.iter().copied().filter(|child| elsewhere.contains(child)).collect();
    cluster.node(FROZEN).thaw()?;

    Ok(Course::new("freeze", affected.len(), twice, watched))
}

/// The network falls in two; both sides go on and run everything, until it heals.
async fn cut(cluster: &mut Cluster) -> Result<Course, Failure> {
    let (mut on_left, mut on_right) = (Vec::new(), Vec::new());
    for index in LEFT {
        on_left.extend(cluster.running(index).await?);
    }
    for index in RIGHT {
        on_right.extend(cluster.running(index).await?);
    }

    let began = Instant::now();
    cluster.cut(&LEFT, &RIGHT).await?;
    let (left, right) = try_join!(
        watch(cluster, began, &LEFT, &RIGHT, &on_right),
        watch(cluster, began, &RIGHT, &LEFT, &on_left),
    )?;
    let twice = cluster.running_twice(&cluster.everyone()).await?;
    cluster.heal().await?;

    let watched = Watched {
        detected: left.detected.max(right.detected),
        recovered: left.recovered.max(right.recovered),
        silent: left.silent.union(&right.silent).copied().collect(),
    };
    Ok(Course::new("cut", on_left.len() + on_right.len(), twice, watched))
}

/// A node says goodbye, and what it runs goes on elsewhere first.
async fn leave(cluster: &mut Cluster) -> Result<Course, Failure> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let affected = cluster.running(LEAVER).await?;
    let others = cluster.all_but(LEAVER);

    let began = Instant::now();
    let leaver = cluster.take(LEAVER);
    let gone = async {
        leaver.ask(Request::Leave { within_ms: millis(PATIENCE / 2) }).await?;
        Ok::<_, Failure>(leaver.ended().await?)
    };
    let noticed = async {
        cluster.see(&others, &[LEAVER], |member| member.is_none_or(|m| !m.up)).await?;
        Ok(began.elapsed())
    };
    // Its children answer from there until they have moved, so their answers count from the end on.
    let ((), detected) = try_join!(within(PATIENCE, "leaving", gone), noticed)?;
    let silent = cluster.call_until_answered(&others, &affected).await?;
    let watched = Watched { detected, recovered: began.elapsed(), silent };

    Ok(Course::new("leave", affected.len(), BTreeSet::new(), watched))
}

/// What was seen of an act from outside.
struct Watched {
    /// How long all observers took to know.
    detected: Duration,
    /// How long all children took to answer each observer, from wherever they run now.
    recovered: Duration,
    /// The children that did not.
    silent: BTreeSet<usize>,
}

/// Watches from `observers` how `gone` are noticed and how the children in `affected` come back.
async fn watch(
    cluster: &Cluster,
    began: Instant,
    observers: &[usize],
    gone: &[usize],
    affected: &[usize],
) -> Result<Watched, Failure> {
    let detect = async {
        cluster.see(observers, gone, |member| member.is_none_or(|m| !m.up)).await?;
        Ok::<_, Failure>(began.elapsed())
    };
    let recover = async {
        let silent = cluster.call_until_answered(observers, affected).await?;
        Ok((began.elapsed(), silent))
    };
    let (detected, (recovered, silent)) = try_join!(detect, recover)?;
    Ok(Watched { detected, recovered, silent })
}
