use ordu_sim::soak::{Orders, soak};
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).take(2).map(|x| x.parse().unwrap()).collect();
    let profile = std::env::args().nth(3).map(|p| p.parse().unwrap());
    let orders =
        Orders { seeds: a[0]..a[0] + a[1], profile, jobs: 2, within: None, failures_max: 100 };
    let s = soak(&orders, None, |_| {});
    println!(
        "{:?} {:.1}/s {:.1}h missed {:?}",
        s.tally,
        s.seeds_per_second(),
        s.simulated_hours(),
        s.marks.missed().collect::<Vec<_>>()
    );
    for (seed, v) in &s.failures {
        println!("{seed} {}", v.to_string().chars().take(300).collect::<String>());
    }
    println!("{} failures", s.failures.len());
}
