//! Users' own processes, simulated with splits, freezes and deaths: the examples of the docs, and
//! every expectation seen to fail where it must.

mod cart;
mod carts;
mod expectations;
mod limiter;
mod models;
mod rules;
