//! The host calls by name.

use core::fmt;

use cis_wasm_abi::IMPORTS;

/// A host call that can be answered with an error.
///
/// The order is that of [`cis_wasm_abi::IMPORTS`]: a call's name is looked up by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// `host_memory_get`
    MemoryGet,
    /// `host_memory_set`
    MemorySet,
    /// `host_memory_delete`
    MemoryDelete,
    /// `host_memory_list`
    MemoryList,
    /// `host_ai_chat`
    AiChat,
    /// `host_http_post`
    HttpPost,
    /// `host_log`
    Log,
    /// `host_config_get`
    ConfigGet,
    /// `host_set_error`
    SetError,
}

/// The names alone: indexing `IMPORTS` at run time would put all of its texts into every skill.
const NAMES: [&str; IMPORTS.len()] = {
    let mut names = [""; IMPORTS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = IMPORTS[index].name;
        index += 1;
    }
    names
};

const _: () = assert!(Call::SetError as usize + 1 == IMPORTS.len());

impl Call {
    /// All of them, in order.
    pub const ALL: [Call; IMPORTS.len()] = [
        Call::MemoryGet,
        Call::MemorySet,
        Call::MemoryDelete,
        Call::MemoryList,
        Call::AiChat,
        Call::HttpPost,
        Call::Log,
        Call::ConfigGet,
        Call::SetError,
    ];

    /// The name of the import.
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_crate::format;
    use alloc_crate::string::String;

    /// `MemoryGet` is `host_memory_get`: the order here is the contract's.
    #[test]
    fn names_follow_the_contract() {
        for (call, import) in Call::ALL.into_iter().zip(IMPORTS) {
            let mut snake = String::from("host");
            for letter in format!("{call:?}").chars() {
                if letter.is_ascii_uppercase() {
                    snake.push('_');
                }
                snake.push(letter.to_ascii_lowercase());
            }
            assert_eq!((call.name(), snake.as_str()), (import.name, import.name));
        }
    }
}
