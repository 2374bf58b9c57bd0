//! A module of such functions, and the event that calls them.

use arbitrary::{Result, Unstructured};
use cis_wasm_abi::{EXPORT_MEMORY, EXPORT_ON_EVENT};
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, Elements, ExportKind, ExportSection,
    FunctionSection, GlobalSection, GlobalType, MemorySection, MemoryType, Module, RefType, TableSection, TableType,
    TypeSection, ValType,
};

use super::body::{Body, Calls, EVENT, FUNCTION, IN_TABLE, SEGMENT, STEPS, TAKING, TRACE};

/// A program that ends, made of what `u` has.
pub(super) fn wasm(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let count = u.int_in_range(1..=6_u32)?;
    let steps = u.int_in_range(0..=300)?;
    // Those that do not look at the steps that are left, so that calls of them are cheap.
    let first_ticking = u.int_in_range(0..=count)?;

    let mut code = CodeSection::new();
    for function in 0..count {
        let calls = if function < first_ticking { Calls::OneBelow(function) } else { Calls::Any(count) };
        code.function(&Body::function(u, calls)?);
    }
    code.function(&Body::event(u, count)?);

    let mut types = TypeSection::new();
    // The order is that of `FUNCTION`, `EVENT` and `TAKING`.
    types.ty().function([ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32; 4], [ValType::I64]);
    types.ty().function([ValType::I32], []);
    debug_assert_eq!((FUNCTION, EVENT, TAKING), (0, 1, 2));
    let mut functions = FunctionSection::new();
    for _ in 0..count {
        functions.function(FUNCTION);
    }
    functions.function(EVENT);
    let mut tables = TableSection::new();
    let size = u64::from(IN_TABLE);
    let element_type = RefType::FUNCREF;
    tables.table(TableType { element_type, minimum: size, maximum: Some(size), table64: false, shared: false });
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut globals = GlobalSection::new();
    for (global, value) in [(TRACE, 1), (STEPS, steps)] {
        debug_assert_eq!(global, globals.len());
        let number = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(number, &ConstExpr::i32_const(value));
    }
    let mut exports = ExportSection::new();
    exports.export(EXPORT_MEMORY, ExportKind::Memory, 0).export(EXPORT_ON_EVENT, ExportKind::Func, count);
    let mut elements = ElementSection::new();
    let in_table = (0..IN_TABLE).map(|_| u.int_in_range(0..=count - 1)).collect::<Result<Vec<_>>>()?;
    elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(in_table.into()));
    let mut data = DataSection::new();
    data.passive(SEGMENT);

    let mut module = Module::new();
    module.section(&types).section(&functions).section(&tables).section(&memories).section(&globals).section(&exports);
    module.section(&elements).section(&DataCountSection { count: 1 }).section(&code).section(&data);
    Ok(module.finish())
}
