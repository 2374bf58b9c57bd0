//! See `cis_generated::journal`.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Panics that are caught belong to what is tested: a compiler's are errors. So the hook that ends the process at any panic
// goes. What an oracle says is caught by nobody, and ends the process too.
fuzz_target!(init: drop(std::panic::take_hook()), |data: &[u8]| {
    cis_generated::journal(data);
});
