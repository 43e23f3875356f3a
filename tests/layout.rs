//! The layout of the C ABI: what `include/fanfare.h` declares, with the sizes, offsets and values that
//! the library has, is what tests/capi/layout/abi-1.txt says. tests/capi/run compares that record with
//! what C compilers make of the header. To make it anew: `make header`.
//!
//! From the first release on the record may only gain lines, but for the sizes of structs that begin
//! with their size: a program that was built against an older header relies on each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use declared::Declared;

#[allow(dead_code, reason = "tests/header.rs needs the rest")]
#[path = "support/declared.rs"]
mod declared;

/// Makes a function that says how the library lays out what is listed. A thing that is listed and not
/// in the library does not compile.
macro_rules! declared {
    ($($kind:ident $name:ident $(:: $variant:ident)? $in_c:literal $([$($field:ident),*])?;)*) => {
        /// The library's side, a line for each thing.
        fn of_library() -> Vec<String> {
            let mut lines = Vec::new();
            $(declared!(@$kind lines $name $(:: $variant)? $in_c $([$($field),*])?);)*
            lines
        }
    };
    (@constant $lines:ident $name:ident $(:: $variant:ident)? $in_c:literal) => {
        $lines.push(format!("{} = {}", $in_c, fanfare::ffi::$name $(:: $variant)? as i128));
    };
    (@number $lines:ident $name:ident $in_c:literal) => {{
        type Number = fanfare::ffi::$name;
        let sign = if Number::MIN == 0 { "unsigned" } else { "signed" };
        $lines.push(format!("{}: size {}, {sign}", $in_c, size_of::<Number>()));
    }};
    (@layout $lines:ident $name:ident $in_c:literal [$($field:ident),*]) => {{
        use fanfare::ffi::$name as Layout;
        let (size, align) = (size_of::<Layout>(), align_of::<Layout>());
        $lines.push(format!("{}: size {size}, align {align}", $in_c));
        $(
            let offset = std::mem::offset_of!(Layout, $field);
            let bytes = field_size(|layout: &Layout| &layout.$field);
            let field = stringify!($field).trim_start_matches("r#");
            $lines.push(format!("{}.{field}: offset {offset}, size {bytes}", $in_c));
        )*
    }};
}

/// The size of the field that a function picks.
fn field_size<T, F>(_: impl FnOnce(&T) -> &F) -> usize {
    size_of::<F>()
}

include!("capi/layout/declared.rs");

#[test]
#[cfg(all(target_pointer_width = "64", target_endian = "little"))]
fn the_library_has_the_layout_of_the_record() {
    let header = std::fs::read_to_string(root().join("include/fanfare.h")).expect("the header");
    let declared = Declared::of(&header);
    let functions = declared.functions.iter().map(|function| function.declaration.clone());
    let callbacks = declared.callbacks.iter().map(|(_, callback)| format!("typedef {callback}"));
    let mut lines = of_library();
    lines.extend(callbacks);
    lines.extend(functions);
    let made = lines.join("\n") + "\n";
    let path = root().join("tests/capi/layout/abi-1.txt");
    if std::env::var_os("FANFARE_HEADER_WRITE").is_some() {
        std::fs::write(&path, &made).expect("the record can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("the record is there");
    let (made, kept): (BTreeSet<_>, BTreeSet<_>) = (made.lines().collect(), kept.lines().collect());
    let (new, gone): (Vec<_>, Vec<_>) =
        (made.difference(&kept).collect(), kept.difference(&made).collect());
    assert!(
        new.is_empty() && gone.is_empty(),
        "the library has {new:#?}, the record {gone:#?}; if that is wanted, run `make header`"
    );
}

#[test]
fn a_struct_that_may_grow_ends_with_its_last_field() {
    // A later field would lie in padding that no program of today sets.
    let (mut sizes, mut ends) = (BTreeMap::new(), BTreeMap::new());
    let mut growing = BTreeSet::new();
    for line in of_library() {
        let Some((name, layout)) = line.split_once(": ") else { continue };
        let numbers: Vec<usize> =
            layout.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
        match (name.split_once('.'), &numbers[..]) {
            (None, &[size, _align]) => drop(sizes.insert(name.to_owned(), size)),
            (Some((of, field)), &[offset, size]) => {
                if (field, offset) == ("size", 0) {
                    growing.insert(of.to_owned());
                }
                ends.insert(of.to_owned(), offset + size);
            }
            _ => {}
        }
    }
    // Each element of its array has a size that the caller passes.
    growing.insert("fanfare_notice".to_owned());
    assert!(growing.len() > 10);
    let padded: Vec<_> = growing.iter().filter(|name| sizes[*name] != ends[*name]).collect();
    assert!(padded.is_empty(), "{padded:?} end with padding");
}

#[test]
fn a_header_is_read_with_all_that_it_declares() {
    let declared = Declared::of(
        "/* #define NOT 1 */\n#define A 1\n#define F(x) 1\n#ifndef H\n#define H\n\
         typedef enum e {\n /** ; */ B = 0,\n C = -1,\n} e;\ntypedef int32_t n;\n\
         typedef struct o o;\n\
         typedef struct s {\n size_t size;\n const o *pointer;\n char text[A];\n\
         void (*f)(int);\n} s;\n\
         typedef void (*callback)(void *data,\n  int x);\n\
         n do_it(const o *o,\n  s *s);\nconst char *text(void);\n\
         #ifndef FANFARE_DECLARATIONS_ONLY\nstatic inline int no(void) { return 1; }\n#endif\n#endif",
    );
    let constants: Vec<_> = declared.constants.iter().map(|constant| &*constant.name).collect();
    assert_eq!(constants, ["A", "B", "C"]);
    assert_eq!(declared.numbers, ["n"]);
    assert_eq!(declared.structs.len(), 1);
    assert_eq!(declared.structs[0].fields, ["size", "pointer", "text", "f"]);
    assert_eq!(declared.callbacks[0].0, "callback");
    let functions: Vec<_> = declared.functions.iter().map(|function| &*function.name).collect();
    assert_eq!(functions, ["do_it", "text"]);
    assert_eq!(declared.functions[0].declaration, "n do_it(const o *o, s *s)");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
