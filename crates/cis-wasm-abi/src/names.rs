//! Names and signatures of everything that crosses the boundary.

/// The version of the contract that this crate describes.
///
/// A guest says its own with the export [`EXPORT_ABI_VERSION`]; a guest without it speaks version 1.
pub const ABI_VERSION: i32 = 1;

/// The module that every host function is imported from.
pub const IMPORT_MODULE: &str = "env";

/// The custom section that carries a skill's manifest, as the UTF-8 text of its `skill.toml`.
pub const MANIFEST_SECTION: &str = "cis.skill.manifest";

/// The first character of a key in a shared namespace: `@team/plan` is the key `plan` of the namespace `team`.
/// A skill's own keys do not begin with it.
pub const SHARED_KEY_MARK: char = '@';

/// Required: the guest's linear memory.
pub const EXPORT_MEMORY: &str = "memory";
/// Required: handles one event. Returns a packed response (`i64`) or a status (`i32`).
pub const EXPORT_ON_EVENT: &str = "skill_on_event";
/// Called once after load, before the first event. Anything but 0 refuses the skill.
pub const EXPORT_INIT: &str = "skill_init";
/// Called once before a kept skill's instance goes.
pub const EXPORT_SHUTDOWN: &str = "skill_shutdown";
/// Allocates in the guest for the host.
pub const EXPORT_ALLOC: &str = "cis_alloc";
/// Takes the place of [`EXPORT_ALLOC`] in a guest that does not have it.
pub const EXPORT_MALLOC: &str = "malloc";
/// Gives back what [`EXPORT_ALLOC`] gave, and a response that was copied out.
pub const EXPORT_FREE: &str = "cis_free";
/// Says which version of the contract the guest speaks.
pub const EXPORT_ABI_VERSION: &str = "cis_abi_version";

/// A WebAssembly value type of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValType {
    /// 32 bits: a pointer, a length, a level or a status.
    I32,
    /// 64 bits: a packed result.
    I64,
}

/// A parameter of an import or export: its name and type.
pub type Param = (&'static str, ValType);

/// A host function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name in the module [`IMPORT_MODULE`].
    pub name: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
    /// Its result, if it has one.
    pub result: Option<ValType>,
    /// What it does, in one line.
    pub doc: &'static str,
    /// What a manifest has to grant for it to be of use.
    pub needs: &'static str,
}

/// A function that a guest exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
    /// The results it may have: one of these. Empty means it has none.
    pub results: &'static [ValType],
    /// Whether a module without it is refused.
    pub required: bool,
    /// What it does, in one line.
    pub doc: &'static str,
}

use ValType::{I32, I64};

/// Every host function.
pub const IMPORTS: [Import; 9] = [
    Import {
        name: "host_memory_get",
        params: &[("key_ptr", I32), ("key_len", I32)],
        result: Some(I64),
        doc: "Packed value of a key; status 0 when there is no such key.",
        needs: "permissions.memory = \"read\" or \"read-write\"",
    },
    Import {
        name: "host_memory_set",
        params: &[("key_ptr", I32), ("key_len", I32), ("val_ptr", I32), ("val_len", I32)],
        result: Some(I32),
        doc: "Stores a value under a key. 0, or an error.",
        needs: "permissions.memory = \"read-write\"",
    },
    Import {
        name: "host_memory_delete",
        params: &[("key_ptr", I32), ("key_len", I32)],
        result: Some(I32),
        doc: "Deletes a key. 0 deleted, 1 no such key, or an error.",
        needs: "permissions.memory = \"read-write\"",
    },
    Import {
        name: "host_memory_list",
        params: &[("prefix_ptr", I32), ("prefix_len", I32)],
        result: Some(I64),
        doc: "Packed list of the keys that begin with a prefix, in order of their bytes.",
        needs: "permissions.memory = \"read\" or \"read-write\"",
    },
    Import {
        name: "host_ai_chat",
        params: &[("prompt_ptr", I32), ("prompt_len", I32)],
        result: Some(I64),
        doc: "Packed UTF-8 reply of the AI to a prompt.",
        needs: "permissions.ai = true",
    },
    Import {
        name: "host_http_post",
        params: &[("url_ptr", I32), ("url_len", I32), ("body_ptr", I32), ("body_len", I32)],
        result: Some(I64),
        doc: "Packed body of the response to an HTTP POST.",
        needs: "permissions.http.allow with the URL's host",
    },
    Import {
        name: "host_log",
        params: &[("level", I32), ("msg_ptr", I32), ("msg_len", I32)],
        result: None,
        doc: "Writes a line to the skill's log. Level 0 debug, 1 info, 2 warn, 3 error.",
        needs: "nothing",
    },
    Import {
        name: "host_config_get",
        params: &[("key_ptr", I32), ("key_len", I32)],
        result: Some(I64),
        doc: "Packed JSON value of one key of the skill's own configuration; status 0 when it has none.",
        needs: "nothing",
    },
    Import {
        name: "host_set_error",
        params: &[("msg_ptr", I32), ("msg_len", I32)],
        result: None,
        doc: "Sets the text that goes with a failed event.",
        needs: "nothing",
    },
];

/// Every function a guest may export to the host. The memory [`EXPORT_MEMORY`] is required beside them.
pub const EXPORTS: [Export; 7] = [
    Export {
        name: EXPORT_ON_EVENT,
        params: &[("type_ptr", I32), ("type_len", I32), ("data_ptr", I32), ("data_len", I32)],
        results: &[I64, I32],
        required: true,
        doc: "Handles one event. Returns a packed response (i64), or a status only (i32).",
    },
    Export {
        name: EXPORT_INIT,
        params: &[],
        results: &[I32],
        required: false,
        doc: "Called once after load, before the first event. Anything but 0 refuses the skill.",
    },
    Export {
        name: EXPORT_SHUTDOWN,
        params: &[],
        results: &[],
        required: false,
        doc: "Called once before the instance of a kept skill goes.",
    },
    Export {
        name: EXPORT_ALLOC,
        params: &[("len", I32)],
        results: &[I32],
        required: false,
        doc: "Allocates len bytes in the guest for the host. 0 means it could not.",
    },
    Export {
        name: EXPORT_MALLOC,
        params: &[("len", I32)],
        results: &[I32],
        required: false,
        doc: "Takes the place of cis_alloc in a guest that does not have it.",
    },
    Export {
        name: EXPORT_FREE,
        params: &[("ptr", I32), ("len", I32)],
        results: &[],
        required: false,
        doc: "Gives back an event's bytes and the response's, once the host is done with them (kept skills).",
    },
    Export {
        name: EXPORT_ABI_VERSION,
        params: &[],
        results: &[I32],
        required: false,
        doc: "The version of this contract the guest speaks; 1 when absent.",
    },
];

/// The host function of this name.
pub fn import(name: &str) -> Option<&'static Import> {
    const TABLE: &[Import] = &IMPORTS;
    TABLE.iter().find(|import| import.name == name)
}
