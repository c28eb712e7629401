//! `ordu-sim explain`: the story of one name or child.

use std::path::Path;

use ordu_sim::Failure;
use ordu_sim::explain;
use ordu_sim::plan::Plan;

use crate::args::Args;
use crate::output::{Outcome, Trouble, print};

/// Runs a failure file or a seed, and tells what happened to one name or child.
pub(crate) fn explain(args: &Args, path: Option<&Path>) -> Outcome {
    let plan = match (path, args.seed) {
        (Some(path), _) => Failure::read(path)?.plan,
        (None, Some(seed)) => Plan::draw(seed, args.choice.profile(seed)),
        (None, None) => return Err(Trouble::Usage("explain needs a file or --seed")),
    };
    let Some(subject) = &args.subject else {
        return Err(Trouble::Usage("explain needs --name or --child"));
    };
    let (_, story) = explain::explain(&plan, subject);
    print(&format!("{plan}\n{story}"))
}
