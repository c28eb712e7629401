//! Lives the inputs of a dump again.

use alloc::vec::Vec;

use crate::flight::dump::{Dump, Reason, Start};
use crate::placement::UserStrategies;
use crate::wire::decode_first;
use crate::{ConfigError, Input, Node, Output, Rule, Time, hash64_seeded, wire};

/// One input of a replay, and what came of it.
#[derive(Debug)]
pub struct Step<'a> {
    /// How many inputs of the dump came before.
    pub index: u64,
    /// When it came, on the node's own clock.
    pub at: Time,
    /// The input.
    pub input: &'a Input,
    /// What the node asked for.
    pub outputs: &'a [Output],
    /// The node, after it.
    pub node: &'a Node,
}

/// What came of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// How many inputs were fed.
    pub inputs: u64,
    /// The hash of the state at the end.
    pub state_hash: u64,
    /// The hash of all outputs, in order.
    pub outputs_hash: u64,
    /// The node, at the end.
    pub node: Node,
}

impl Dump {
    /// Puts the code of the node's conflict rule in its place: a dump holds its name alone.
    ///
    /// # Errors
    ///
    /// Refuses a rule of another name, and one without code.
    pub fn supply_rule(&mut self, rule: Rule) -> Result<(), ReplayError> {
        if rule != self.config.rule {
            return Err(ReplayError::OtherRule {
                expected: self.config.rule.clone(),
                actual: rule,
            });
        }
        if rule.is_missing() {
            return Err(ReplayError::RuleMissing { rule });
        }
        self.config.rule = rule;
        Ok(())
    }

    /// Puts the code of the node's placement strategies in its place: a dump holds their names
    /// alone.
    ///
    /// # Errors
    ///
    /// Refuses strategies of other names, and one without code.
    pub fn supply_strategies(&mut self, strategies: UserStrategies) -> Result<(), ReplayError> {
        if strategies != self.config.strategies {
            let (expected, actual) = (self.config.strategies.clone(), strategies);
            return Err(ReplayError::OtherStrategies { expected, actual });
        }
        if strategies.missing().is_some() {
            return Err(ReplayError::StrategyMissing { strategies });
        }
        self.config.strategies = strategies;
        Ok(())
    }

    /// Lives the inputs again, and checks that they lead to the same state.
    ///
    /// # Errors
    ///
    /// When they do not, or there is nothing that they could follow from.
    ///
    /// # Panics
    ///
    /// Panics as the node did, over the same input, if it was dumped for that; and may panic on a
    /// dump that no recorder made.
    pub fn replay(&self) -> Result<Replayed, ReplayError> {
        self.replay_with(|_| ())
    }

    /// Does as [`Dump::replay`], and shows `observe` every input with what came of it. One that the
    /// node panics over is not shown: it is the one after the last that was.
    ///
    /// # Errors
    ///
    /// As [`Dump::replay`].
    ///
    /// # Panics
    ///
    /// As [`Dump::replay`].
    pub fn replay_with(&self, mut observe: impl FnMut(&Step<'_>)) -> Result<Replayed, ReplayError> {
        let mut node = self.first_node()?;
        let (mut index, mut outputs_hash) = (0, 0);
        let mut outputs = Vec::new();
        for (at, input) in self.inputs() {
            node.handle(at, input.clone());
            outputs.clear();
            while let Some(output) = node.poll_output() {
                outputs_hash = hash64_seeded(&wire::encode(&output), outputs_hash);
                outputs.push(output);
            }
            observe(&Step { index, at, input: &input, outputs: &outputs, node: &node });
            index += 1;
        }
        assert_eq!(index, self.len(), "every input is fed once");

        let state_hash = node.state_hash();
        match self.state_hash() {
            Some(expected) if expected != state_hash => {
                Err(ReplayError::OtherState { expected, actual: state_hash })
            }
            None if self.reason == Reason::Panic => Err(ReplayError::NoPanic),
            Some(_) | None => Ok(Replayed { inputs: index, state_hash, outputs_hash, node }),
        }
    }

    /// Returns the node that the inputs are fed to.
    fn first_node(&self) -> Result<Node, ReplayError> {
        if self.config.rule.is_missing() {
            return Err(ReplayError::RuleMissing { rule: self.config.rule.clone() });
        }
        if self.config.strategies.missing().is_some() {
            let strategies = self.config.strategies.clone();
            return Err(ReplayError::StrategyMissing { strategies });
        }
        let node = match &self.start {
            Start::Birth => {
                self.config.check().map_err(|source| ReplayError::Config { source })?;
                Node::new(self.config.clone(), self.seed, self.born)
            }
            Start::State(state) => {
                let (mut node, used) =
                    decode_first::<Node>(state).map_err(|_| ReplayError::MalformedState)?;
                if used != state.len() {
                    return Err(ReplayError::MalformedState);
                }
                let is_its_own = *node.rule() == self.config.rule
                    && *node.strategies() == self.config.strategies;
                if !is_its_own {
                    return Err(ReplayError::MalformedState);
                }
                node.supply_rule(&self.config.rule);
                node.supply_strategies(&self.config.strategies);
                node
            }
        };
        if self.since < node.now() { Err(ReplayError::MalformedState) } else { Ok(node) }
    }
}

/// Why a replay came to nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The inputs lead to another state than they did: the node is not a function of its inputs, or
    /// not the node that was recorded, or another build of it.
    #[error("the replay ends in state {actual:016x}; the node ended in {expected:016x}")]
    OtherState {
        /// The hash of the state that the node had.
        expected: u64,
        /// The hash of the state that it has now.
        actual: u64,
    },
    /// The node panicked over the last input, and does not now.
    #[error("the node panicked over the last input; the replay does not")]
    NoPanic,
    /// The configuration is none that a node can have; no recorder wrote this.
    #[error("the configuration in the dump makes no sense")]
    Config {
        /// What is wrong with it.
        source: ConfigError,
    },
    /// The node went by a user's conflict rule, whose code a dump does not hold; supply it.
    #[error("the node went by the conflict rule {rule:?}; supply it before the replay")]
    RuleMissing {
        /// The rule.
        rule: Rule,
    },
    /// The rule that was supplied is not the one that the node went by.
    #[error("the node went by the conflict rule {expected:?}, not by {actual:?}")]
    OtherRule {
        /// The node's.
        expected: Rule,
        /// What was supplied.
        actual: Rule,
    },
    /// The node had placement strategies of users, whose code a dump does not hold; supply it.
    #[error("the node had the placement strategies {strategies:?}; supply them before the replay")]
    StrategyMissing {
        /// The strategies.
        strategies: UserStrategies,
    },
    /// The strategies that were supplied are not those that the node had.
    #[error("the node had the placement strategies {expected:?}, not {actual:?}")]
    OtherStrategies {
        /// The node's.
        expected: UserStrategies,
        /// What was supplied.
        actual: UserStrategies,
    },
    /// The state is none of a node's; another build may have written it.
    #[error("the state in the dump is none of a node's")]
    MalformedState,
}
