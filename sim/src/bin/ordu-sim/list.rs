//! `ordu-sim list`: what there is.

use ordu_sim::invariants::promises;
use ordu_sim::plan::Profile;
use ordu_sim::{Mark, Network};
use serde_json::json;

use crate::args::Args;
use crate::output::{Outcome, print, print_json};

/// Prints the profiles, the presets of networks, the promises and the marks.
pub(crate) fn list(args: &Args) -> Outcome {
    let profiles = || Profile::all().map(|profile| (profile.to_string(), profile.about()));
    let networks = || Network::presets().iter().map(|(name, _)| *name);
    let marks = || Mark::ALL.iter().map(|mark| (mark.name(), mark.about()));
    if args.json {
        let promise = |promise: ordu_sim::invariants::Promise| {
            json!({
                "id": promise.id,
                "says": promise.says,
                "made_in": promise.made_in,
                "class": promise.class.to_string(),
            })
        };
        print_json(&json!({
            "profiles": profiles().collect::<std::collections::BTreeMap<_, _>>(),
            "networks": networks().collect::<Vec<_>>(),
            "promises": promises().into_iter().map(promise).collect::<Vec<_>>(),
            "marks": marks().collect::<std::collections::BTreeMap<_, _>>(),
        }))?;
        return Ok(std::process::ExitCode::SUCCESS);
    }
    let mut text = String::from("profiles\n");
    for (name, about) in profiles() {
        text += &format!("  {name:20} {about}\n");
    }
    text += "\nnetworks\n";
    for name in networks() {
        text += &format!("  {name}\n");
    }
    text += "\npromises\n";
    for promise in promises() {
        text += &format!("  {:4} {} ({})\n", promise.id, promise.says, promise.made_in);
    }
    text += "\nmarks\n";
    for (name, about) in marks() {
        text += &format!("  {name:20} {about}\n");
    }
    print(text.trim_end())
}
