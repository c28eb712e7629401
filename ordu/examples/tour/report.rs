//! What the tour found, for people and for machines.

use std::time::Duration;

use serde::Serialize;

/// What one act did to the children.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Act {
    /// What happened.
    pub name: &'static str,
    /// Children that ran where it happened.
    pub affected: usize,
    /// Children that did not answer in good time, or were gone once the cluster had settled.
    pub lost: usize,
    /// Children that ran more than once then.
    pub double: usize,
    /// Children that ran more than once for a while, and once in the end.
    pub resolved: usize,
    /// Milliseconds until every node that is concerned knew.
    pub detect_ms: u64,
    /// Milliseconds until every child had answered every node again.
    pub recover_ms: u64,
}

/// The whole tour.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Report {
    /// One after the other.
    pub acts: Vec<Act>,
    /// How many children there are.
    pub children: usize,
    /// Sum over the acts.
    pub lost: usize,
    /// Sum over the acts.
    pub double: usize,
}

impl Report {
    /// Adds `acts` up.
    pub(crate) fn new(children: usize, acts: Vec<Act>) -> Self {
        let lost = acts.iter().map(|act| act.lost).sum();
        let double = acts.iter().map(|act| act.double).sum();
        Self { acts, children, lost, double }
    }

    /// Returns whether every child was there, once, after every act.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.double == 0
    }

    /// Returns the report as one JSON object.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and plain text are always JSON")
    }

    /// Returns the last line for people.
    pub(crate) fn summary(&self) -> String {
        let Self { children, lost, double, .. } = self;
        format!("{children} children: {lost} lost, {double} double")
    }
}

impl Act {
    /// Returns the headings that [`Act::line`] stands under.
    pub(crate) fn headings() -> String {
        let [name, affected, lost] = ["act", "affected", "lost"];
        let [double, resolved, detect, recover] = ["double", "resolved", "detect", "recover"];
        format!("{name:8}{affected:>9}{lost:>7}{double:>8}{resolved:>10}{detect:>11}{recover:>11}")
    }

    /// Returns the act as one line.
    pub(crate) fn line(&self) -> String {
        let Self { name, affected, lost, double, resolved, .. } = self;
        let [detect, recover] = [self.detect_ms, self.recover_ms].map(|ms| format!("{ms} ms"));
        format!("{name:8}{affected:>9}{lost:>7}{double:>8}{resolved:>10}{detect:>11}{recover:>11}")
    }
}

/// Returns `duration` in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(lost: usize, double: usize) -> Act {
        let (name, affected, resolved) = ("kill", 1_000, 3);
        Act { name, affected, lost, double, resolved, detect_ms: 120, recover_ms: 340 }
    }

    #[test]
    fn the_json_is_one_object_of_the_documented_shape() {
        let report = Report::new(5_000, vec![act(0, 0), act(2, 1)]);
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["children"], 5_000);
        assert_eq!(json["lost"], 2);
        assert_eq!(json["double"], 1);
        let acts = json["acts"].as_array().unwrap();
        assert_eq!(acts.len(), 2);
        assert_eq!(acts[0]["name"], "kill");
        for (field, value) in [
            ("affected", 1_000),
            ("lost", 2),
            ("double", 1),
            ("resolved", 3),
            ("detect_ms", 120),
            ("recover_ms", 340),
        ] {
            assert_eq!(acts[1][field], value, "{field}");
        }
        assert!(!report.json().contains('\n'), "one line for a machine");
    }

    #[test]
    fn one_loss_or_one_double_spoils_the_tour() {
        assert!(Report::new(1, vec![act(0, 0)]).is_clean());
        assert!(!Report::new(1, vec![act(0, 0), act(1, 0)]).is_clean());
        assert!(!Report::new(1, vec![act(0, 1), act(0, 0)]).is_clean());
    }

    #[test]
    fn figures_stand_under_their_headings() {
        assert_eq!(Act::headings().len(), act(0, 0).line().len());
    }
}
