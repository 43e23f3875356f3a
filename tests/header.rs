//! `include/fanfare.h` is what `src/ffi` makes of it: `header.in` is the outline, and a line of it
//! such as `@hub.rs` is what cbindgen makes of that file. To make it anew: `make header`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use declared::{Declared, Function};

#[allow(dead_code, reason = "tests/layout.rs needs the rest")]
#[path = "support/declared.rs"]
mod declared;

#[test]
fn the_header_is_current() {
    let made = header();
    let version = env!("CARGO_PKG_VERSION").split('.').zip(["MAJOR", "MINOR", "PATCH"]);
    for (number, name) in version {
        assert!(made.contains(&format!("#define FANFARE_VERSION_{name} {number}\n")), "{name}");
    }
    expect_current("include/fanfare.h", &made);
    // A test that is compiled with a list cannot write it.
    expect_current("tests/capi/layout/declared.rs", &Declared::of(&made).list());
}

/// Compares a file of the repository with what it is made of, or writes it.
fn expect_current(file: &str, made: &str) {
    let path = root().join(file);
    if std::env::var_os("FANFARE_HEADER_WRITE").is_some() {
        std::fs::write(&path, made).expect("the file can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("the file is there");
    assert!(kept == made, "{file} is not current; run `make header`");
}

#[test]
fn each_function_has_its_row_in_the_table_and_says_threads_and_errors() {
    let made = header();
    let (manual, declarations) = made.split_once("#ifndef FANFARE_H").expect("a guard");
    let mut functions = 0;
    for (comment, name) in declared_functions(declarations) {
        functions += 1;
        // A name that is as long as the column has it on a line of its own.
        let has_row = [' ', '\n'].map(|end| manual.contains(&format!("\n *   {name}{end}")));
        assert!(has_row.contains(&true), "{name} has no row in the table");
        for word in ["Threads:", "Errors"] {
            assert!(comment.contains(word), "the comment of {name} has no {word}");
        }
    }
    let rows = manual.lines().filter(|line| line.starts_with(" *   fanfare_")).count();
    assert!(functions > 0);
    assert_eq!(rows, functions, "a row of the table is no function's");
}

/// The texts of the files in a folder whose names begin so.
fn text_of_files(folder: &str, beginning: &str) -> String {
    let files = std::fs::read_dir(root().join(folder)).expect("the folder");
    let files = files.map(|file| file.expect("a file"));
    let files = files.filter(|file| file.file_name().to_string_lossy().starts_with(beginning));
    files.map(|file| std::fs::read_to_string(file.path()).expect("the file")).collect()
}

#[test]
fn each_function_is_called_by_the_tests_of_all_and_by_the_fuzz_target() {
    let calls = text_of_files("tests/capi", "calls_of_");
    let steps = text_of_files("fuzz/targets/abi", "");
    // Names in texts do not count.
    let is_called = |name: &str| {
        let mut places = steps.match_indices(name);
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        places.any(|(at, _)| {
            !steps[..at].ends_with('"') && !steps[at + name.len()..].starts_with(is_name)
        })
    };
    for Function { name, .. } in &Declared::of(&header()).functions {
        assert!(
            calls.contains(&format!("{{\"{name}\", ")),
            "no tests/capi/calls_of_*.c has {name}"
        );
        assert!(is_called(name), "fuzz/targets/abi has no call of {name}");
    }
}

#[test]
fn the_structs_of_options_have_those_of_the_document_with_their_bounds_and_defaults() {
    let made = header();
    for (name, heading, others) in [
        ("fanfare_options", "The engine", &["any_host", "reserved", "reserved_too", "size"][..]),
        ("fanfare_topic_options", "A rule", &["reserved", "size"]),
        ("fanfare_ask_options", "Asking the host", &["size"]),
        ("fanfare_ticket_options", "Tickets", &["size"]),
        ("fanfare_drain_options", "A drain", &["size"]),
    ] {
        let comments = comments_of_fields(&made, name);
        let options = documented_options(heading, |_| true);
        for (option, ending) in &options {
            let comment = comments.get(option).unwrap_or_else(|| panic!("there is no {option}"));
            let ends = comment.trim().ends_with(ending);
            assert!(ends, "{option}: {comment:?} does not end with {ending}");
        }
        let unknown: Vec<_> = comments.keys().filter(|name| !options.contains_key(*name)).collect();
        assert_eq!(unknown, others, "{name}");
    }
}

#[test]
fn each_number_of_options_says_its_bounds_and_default_and_a_listeners_as_the_document() {
    let made = header();
    let declared = Declared::of(&made);
    let options = declared.structs.iter().filter(|it| it.name.ends_with("_options"));
    let mut numbers = 0;
    for options in options {
        let (_, from) =
            made.split_once(&format!("typedef struct {} {{", options.name)).expect("the struct");
        let (fields, _) = from.split_once("\n}").expect("its end");
        for (field, comment) in comments_of_fields(&made, &options.name) {
            let is_number = fields.contains(&format!("uint64_t {field};"));
            if is_number && !field.ends_with("_unix_ms") {
                numbers += 1;
                let says = comment.contains("Bounds: ") && comment.contains(" Default: ");
                assert!(says, "{}.{field}: {comment:?}", options.name);
            }
        }
    }
    assert!(numbers > 30);

    let comments = comments_of_fields(&made, "fanfare_listen_options");
    let listeners =
        documented_options("A listener", |unit| ["count", "bytes", "time"].contains(&unit));
    assert!(listeners.len() > 5);
    for (option, ending) in listeners {
        // In C a number that is none is 0.
        let ending = match ending.strip_suffix(" Default: none.") {
            Some(bounds) => bounds.replace("Bounds: ", "Bounds: 0, or ") + " Default: 0.",
            None => ending,
        };
        let comment = comments.get(&option).unwrap_or_else(|| panic!("there is no {option}"));
        assert!(
            comment.trim().ends_with(&ending),
            "{option}: {comment:?} does not end with {ending}"
        );
    }
}

#[test]
fn the_struct_of_a_listeners_options_has_those_of_the_document() {
    let made = header();
    let (_, from) = made.split_once("typedef struct fanfare_listen_options {").expect("the struct");
    let (fields, _) = from.split_once('}').expect("its end");
    let fields: Vec<&str> = fields
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';')?.rsplit([' ', '*']).next())
        .collect();
    let document = std::fs::read_to_string(root().join("docs/options.md")).expect("the document");
    let (_, listener) = document.split_once("## A listener").expect("the listener's table");
    let (listener, _) = listener.split_once("\n## ").expect("its end");
    let rows = listener.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let missing: Vec<&str> = rows
        .filter(|option| {
            let is_it = |field: &&str| {
                let name = field.strip_suffix("_ms").unwrap_or(field);
                name == *option || name.split('_').next() == Some(option)
            };
            !fields.iter().any(is_it)
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?} are not in the struct");
}

#[test]
fn the_document_for_c_has_every_status_code_and_what_to_do_about_it() {
    let made = header();
    let (_, from) = made.split_once("typedef enum fanfare_status_code {").expect("the codes");
    let (codes, _) = from.split_once('}').expect("their end");
    let codes: Vec<_> = codes
        .lines()
        .filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "))
        .map(|(name, number)| (name.to_owned(), number.to_owned()))
        .collect();
    let document = std::fs::read_to_string(root().join("docs/c.md")).expect("the document");
    let rows = document.lines().filter(|line| line.starts_with("| `FANFARE_"));
    let rows: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let [_, name, number, means, todo, _] = cells[..] else { panic!("{row}") };
            assert!(!means.is_empty() && (number == "0" || !todo.is_empty()), "{row}");
            (name.trim_matches('`').to_owned(), number.to_owned())
        })
        .collect();
    assert!(codes.len() > 1);
    assert_eq!(rows, codes);
}

#[test]
fn the_document_for_c_names_only_what_the_header_has() {
    let made = header();
    let names_of = |text: &str| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names =
            words.filter(|word| word.starts_with("fanfare_") || word.starts_with("FANFARE_"));
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let document = std::fs::read_to_string(root().join("docs/c.md")).expect("the document");
    let known = names_of(&made);
    let unknown: Vec<_> = names_of(&document).into_iter().filter(|n| !known.contains(n)).collect();
    // The beginnings of names that have an end of their own for each struct.
    assert_eq!(unknown, ["fanfare_"]);
}

#[test]
fn the_bindings_for_go_and_node_say_of_each_code_what_the_library_says() {
    let texts = texts_of_codes();
    assert!(texts.len() > 20);
    for (file, documented) in [documented_in_go(), documented_in_node()] {
        assert_eq!(
            documented.keys().collect::<Vec<_>>(),
            texts.keys().collect::<Vec<_>>(),
            "{file}"
        );
        // Names of options are written as the language does.
        let plain = |text: &str| text.replace('_', "").to_lowercase();
        for (code, text) in &texts {
            let said = &documented[code];
            // What to do may be another thing in another language.
            let (wrong, _) = text.rsplit_once("; ").unwrap_or((text, ""));
            let rest = plain(said).strip_prefix(&plain(wrong)).map(str::to_owned);
            let has_it = rest.is_some_and(|rest| rest.starts_with(['.', ';']));
            assert!(has_it, "{file}: {code} is {said:?}, and the library says {text:?}");
        }
    }
}

/// What the library says of each code that is an error.
fn texts_of_codes() -> BTreeMap<String, String> {
    let made = header();
    let (_, from) = made.split_once("typedef enum fanfare_status_code {").expect("the codes");
    let (codes, _) = from.split_once('}').expect("their end");
    let codes = codes.lines().filter_map(|line| Some(line.trim().split_once(" = ")?.0.to_owned()));
    let source = std::fs::read_to_string(root().join("src/ffi/status.rs")).expect("the file");
    let (_, texts) = source.split_once("const TEXTS").expect("the texts");
    let (texts, _) = texts.split_once("];\n").expect("their end");
    let texts =
        texts.lines().filter_map(|line| line.trim().strip_prefix("c\"")?.strip_suffix("\","));
    let texts: Vec<_> = texts.map(str::to_owned).collect();
    let codes: Vec<_> = codes.collect();
    assert_eq!(codes.len(), texts.len());
    codes.into_iter().zip(texts).skip(1).collect()
}

/// The comments of Go's errors, by their codes.
fn documented_in_go() -> (&'static str, BTreeMap<String, String>) {
    let file = "bindings/go/errors.go";
    let source = std::fs::read_to_string(root().join(file)).expect("the file");
    let (mut documented, mut comment) = (BTreeMap::new(), Vec::new());
    for line in source.lines().map(str::trim) {
        match (line.strip_prefix("// "), line.split_once("= C.")) {
            (Some(text), _) => comment.push(text),
            (None, Some((_, code))) if code.starts_with("FANFARE_ERR_") => {
                let text = comment.join(" ");
                let (_, text) = text.split_once(": ").expect("a comment that begins with the name");
                documented.insert(code.to_owned(), text.to_owned());
                comment.clear();
            }
            _ => comment.clear(),
        }
    }
    (file, documented)
}

/// The comments of Node's type of the codes.
fn documented_in_node() -> (&'static str, BTreeMap<String, String>) {
    let file = "bindings/node/types/errors.d.ts";
    let source = std::fs::read_to_string(root().join(file)).expect("the file");
    let (_, from) = source.split_once("export type ErrorCode =").expect("the type");
    let (codes, _) = from.split_once(";\n\n").expect("its end");
    let documented = codes.split("/**").filter_map(|part| {
        let (comment, code) = part.split_once("*/")?;
        let lines = comment.lines().map(|line| line.trim_start_matches([' ', '*']).trim_end());
        let text = lines.collect::<Vec<_>>().join(" ").trim().to_owned();
        Some((code.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned(), text))
    });
    (file, documented.collect())
}

/// The fields of a struct, each with its comment in one line.
fn comments_of_fields(made: &str, name: &str) -> BTreeMap<String, String> {
    let (_, from) = made.split_once(&format!("typedef struct {name} {{")).expect("the struct");
    let (fields, _) = from.split_once("\n}").expect("its end");
    let fields = fields.split("/**").filter_map(|part| {
        let (comment, field) = part.split_once("*/")?;
        let name = field.trim().strip_suffix(';')?.rsplit([' ', '*']).next()?;
        let lines = comment.lines().map(|line| line.trim_start_matches([' ', '*']));
        Some((name.to_owned(), lines.collect::<Vec<_>>().join(" ")))
    });
    fields.collect()
}

/// The options of a table that have such units, by their names in C, each with how its comment is to end.
fn documented_options(heading: &str, has_unit: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let document = std::fs::read_to_string(root().join("docs/options.md")).expect("the document");
    let (_, table) = document.split_once(&format!("## {heading}")).expect("the table");
    let (table, _) = table.split_once("\n## ").unwrap_or((table, ""));
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').skip(1).map(str::trim).collect())
        .collect();
    let name_in_c = |option: &str| {
        let row = rows.iter().find(|row| row[0].trim_matches('`') == option)?;
        Some(option.to_owned() + if row[1] == "time" { "_ms" } else { "" })
    };
    let plain = |cell: &str| {
        let parts = cell.split('`').map(|part| name_in_c(part).unwrap_or(part.to_owned()));
        parts.collect::<String>()
    };
    let ending =
        |row: &Vec<&str>| format!("Bounds: {}. Default: {}.", plain(row[2]), plain(row[3]));
    let options = rows.iter().filter(|row| has_unit(row[1]));
    options.filter_map(|row| Some((name_in_c(row[0].trim_matches('`'))?, ending(row)))).collect()
}

/// The exported functions, each with the comment before it.
fn declared_functions(declarations: &str) -> impl Iterator<Item = (&str, &str)> {
    declarations.split("/**").filter_map(|part| {
        let (comment, code) = part.split_once("*/")?;
        let declared = code.split(';').next()?;
        let is_function = !["typedef", "static", "#", "{"].iter().any(|no| declared.contains(no));
        let name = declared.split_once('(')?.0.rsplit([' ', '*']).next()?;
        is_function.then_some((comment, name))
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn header() -> String {
    let folder = root().join("src/ffi");
    let outline = std::fs::read_to_string(folder.join("header.in")).expect("the outline is there");
    let mut made = String::new();
    for line in outline.lines() {
        match line.strip_prefix('@') {
            Some(file) => made += &section(&folder.join(file)),
            None => made += line,
        }
        made.push('\n');
    }
    made
}

/// What cbindgen makes of one file.
fn section(file: &Path) -> String {
    let config =
        cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("a configuration");
    let builder = cbindgen::Builder::new().with_config(config).with_src(file);
    let mut made = Vec::new();
    builder.generate().expect("cbindgen understands src/ffi").write(&mut made);
    for_c(&String::from_utf8(made).expect("a header is text"))
}

/// What a C programmer has to keep to is in the text; the `# Safety` sections say it once more to
/// Rust callers. Types go by one name, that of their `typedef`, whichever section they are of.
fn for_c(section: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut in_safety = false;
    for line in section.trim().lines() {
        let text = line.trim_start_matches([' ', '*']);
        if text == "# Safety" {
            in_safety = true;
            kept.pop();
        } else if text == "/" {
            in_safety = false;
        }
        if !in_safety {
            kept.push(match line.starts_with("typedef") {
                true => line.to_owned(),
                false => line.replace("struct fanfare_", "fanfare_"),
            });
        }
    }
    kept.join("\n")
}
