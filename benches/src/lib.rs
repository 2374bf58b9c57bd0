//! Nothing: this package is its benches. `cargo xtask bench` runs them.
