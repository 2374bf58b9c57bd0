//! class: panic of a Rust program
//! what: a panic with a message, in a program built without the SDK
//! expect: trap_unreachable trap_unreachable
//! Invariant: the host is given nothing but the bytes of one text of the program's own.
#![no_std]

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn host_set_error(ptr: *const u8, len: usize);
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    let text = "the skill panicked";
    // SAFETY: the text lives as long as the program.
    unsafe { host_set_error(text.as_ptr(), text.len()) };
    core::arch::wasm32::unreachable()
}

#[unsafe(no_mangle)]
extern "C" fn skill_on_event(_: *const u8, len: usize, _: *const u8, _: usize) -> i32 {
    let empty: &[i32] = &[];
    empty[len]
}
