//! What was promised and what was found, for people and for machines.

use std::time::Duration;

use serde::Serialize;

/// What is promised, and what came of it before Ordu.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Promise {
    /// What is promised, in one sentence.
    pub promise: &'static str,
    /// What the predecessor was seen to do.
    pub predecessor: &'static str,
}

/// What happened while a promise was tried.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Finding {
    facts: Vec<Fact>,
}

/// One thing that was measured.
#[derive(Clone, Debug, Serialize)]
struct Fact {
    /// In words, with the figures.
    fact: String,
    /// Whether it is as it was promised.
    as_promised: bool,
}

impl Finding {
    /// Adds a fact that the promise stands and falls with.
    pub(crate) fn check(&mut self, as_promised: bool, fact: impl Into<String>) {
        self.facts.push(Fact { fact: fact.into(), as_promised });
    }

    /// Adds why the scenario could not go on: what was not tried to the end was not kept.
    pub(crate) fn give_up(&mut self, reason: &str) {
        self.check(false, format!("it could not go on: {reason}"));
    }

    fn is_as_promised(&self) -> bool {
        !self.facts.is_empty() && self.facts.iter().all(|fact| fact.as_promised)
    }
}

/// A promise, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    #[serde(flatten)]
    promise: Promise,
    here: Finding,
    kept: bool,
    took_ms: u64,
}

impl Outcome {
    /// Judges `here`: one fact that is not as promised breaks the promise.
    pub(crate) fn new(promise: Promise, here: Finding, took: Duration) -> Self {
        let kept = here.is_as_promised();
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self { promise, here, kept, took_ms }
    }

    /// Returns the outcome as lines for people.
    pub(crate) fn text(&self, number: usize) -> String {
        let Promise { promise, predecessor } = self.promise;
        let line = |label: &str, what: &str| format!("   {label:<11}  {what}");
        let mut lines = vec![format!("{number}. {promise}"), line("predecessor", predecessor)];
        for (index, Fact { fact, as_promised }) in self.here.facts.iter().enumerate() {
            let label = if index == 0 { "here" } else { "" };
            let mark = if *as_promised { "" } else { "NOT AS PROMISED: " };
            lines.push(line(label, &format!("{mark}{fact}")));
        }
        let (kept, took) = (if self.kept { "yes" } else { "NO" }, self.took_ms as f64 / 1e3);
        lines.push(line("kept", &format!("{kept}, tried in {took:.1} s")));
        lines.join("\n")
    }
}

/// All that was tried.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// One after the other.
    pub promises: Vec<Outcome>,
    /// How many of them were kept.
    pub kept: usize,
}

impl Report {
    /// Adds an outcome.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.kept += usize::from(outcome.kept);
        self.promises.push(outcome);
    }

    /// Returns whether every promise was kept.
    pub(crate) fn all_kept(&self) -> bool {
        self.kept == self.promises.len()
    }

    /// Returns the report as one JSON object.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and plain text are always JSON")
    }

    /// Returns the last line for people.
    pub(crate) fn summary(&self) -> String {
        format!("{} promises: {} kept", self.promises.len(), self.kept)
    }
}

/// Returns `duration` as people read it.
pub(crate) fn span(duration: Duration) -> String {
    match duration.as_millis() {
        0 => format!("{} µs", duration.as_micros()),
        ms @ 1..1_000 => format!("{ms} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(facts: &[bool]) -> Outcome {
        let mut found = Finding::default();
        for &as_promised in facts {
            found.check(as_promised, "3 of 3 ran on");
        }
        let promise = Promise { promise: "They run on.", predecessor: "They did not." };
        Outcome::new(promise, found, Duration::from_millis(1_200))
    }

    fn report(outcomes: &[&[bool]]) -> Report {
        let mut report = Report::default();
        outcomes.iter().for_each(|facts| report.add(outcome(facts)));
        report
    }

    #[test]
    fn one_fact_that_is_not_as_promised_breaks_a_promise_and_one_promise_the_report() {
        assert!(report(&[&[true, true], &[true]]).all_kept());
        assert!(!report(&[&[true, false], &[true]]).all_kept());
        assert_eq!(report(&[&[true, false], &[true]]).summary(), "2 promises: 1 kept");
        assert!(!report(&[&[]]).all_kept(), "what was not tried was not kept");
        let mut found = Finding::default();
        found.check(true, "3 of 3 ran on");
        found.give_up("no port is free");
        assert!(!found.is_as_promised());
    }

    #[test]
    fn the_text_says_what_was_not_as_promised() {
        let text = outcome(&[true, false]).text(7);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "7. They run on.",
                "   predecessor  They did not.",
                "   here         3 of 3 ran on",
                "                NOT AS PROMISED: 3 of 3 ran on",
                "   kept         NO, tried in 1.2 s",
            ]
        );
    }

    #[test]
    fn the_json_is_one_object_of_the_documented_shape() {
        let json = report(&[&[true], &[false]]).json();
        assert!(!json.contains('\n'), "one line for a machine");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["kept"], 1);
        let promise = &json["promises"][1];
        assert_eq!(promise["promise"], "They run on.");
        assert_eq!(promise["predecessor"], "They did not.");
        assert_eq!(promise["here"][0]["fact"], "3 of 3 ran on");
        assert_eq!(promise["here"][0]["as_promised"], false);
        assert_eq!((&promise["kept"], &promise["took_ms"]), (&false.into(), &1_200.into()));
    }

    #[test]
    fn spans_are_read_at_a_glance() {
        for (micros, text) in [(12, "12 µs"), (1_900, "1 ms"), (999_999, "999 ms")] {
            assert_eq!(span(Duration::from_micros(micros)), text);
        }
        assert_eq!(span(Duration::from_millis(12_345)), "12.3 s");
    }
}
