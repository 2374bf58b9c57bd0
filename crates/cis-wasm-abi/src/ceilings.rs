//! Hard ceilings, in bytes unless said otherwise. A manifest or an operator can only go below them.
//!
//! They bound what a single call can make the host allocate; budgets over a whole event are the host's.

/// The longest key of a memory entry. Also bounds a prefix.
pub const KEY: usize = 512;
/// The largest value of a memory entry.
pub const VALUE: usize = 8 * MIB;
/// The largest key list one `host_memory_list` answers.
pub const KEY_LIST: usize = MIB;
/// The largest prompt of one `host_ai_chat`.
pub const PROMPT: usize = MIB;
/// The longest URL of one `host_http_post`.
pub const URL: usize = 8 * KIB;
/// The largest request body of one `host_http_post`.
pub const HTTP_BODY: usize = 8 * MIB;
/// The largest reply from a backend, after decompression: an AI's text or an HTTP response body.
pub const REPLY: usize = 8 * MIB;
/// The longest log line; a longer one is cut at a character's edge.
pub const LOG_LINE: usize = 8 * KIB;
/// The longest error text; a longer one is cut at a character's edge.
pub const ERROR_TEXT: usize = 4 * KIB;
/// The longest event type.
pub const EVENT_TYPE: usize = 256;
/// The largest event.
pub const EVENT_DATA: usize = 16 * MIB;
/// The largest response of a skill.
pub const RESPONSE: usize = 16 * MIB;
/// The largest module.
pub const MODULE: usize = 64 * MIB;
/// The largest manifest, embedded or not.
pub const MANIFEST: usize = 64 * KIB;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

// What reaches the guest is written with a u32 length.
const _: () = assert!(VALUE <= u32::MAX as usize && REPLY <= u32::MAX as usize && EVENT_DATA <= u32::MAX as usize);
// A list must have room for any one key.
const _: () = assert!(KEY + 4 <= KEY_LIST);
