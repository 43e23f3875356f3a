//! `include/fanfare.h` is what `src/ffi` makes of it: `header.in` is the outline, and a line of it
//! such as `@hub.rs` is what cbindgen makes of that file. To make it anew: `make header`.

use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn the_header_is_current() {
    let made = header();
    let version = env!("CARGO_PKG_VERSION").split('.').zip(["MAJOR", "MINOR", "PATCH"]);
    for (number, name) in version {
        assert!(made.contains(&format!("#define FANFARE_VERSION_{name} {number}\n")), "{name}");
    }
    let path = root().join("include/fanfare.h");
    if std::env::var_os("FANFARE_HEADER_WRITE").is_some() {
        std::fs::create_dir_all(root().join("include")).expect("include/ can be made");
        std::fs::write(&path, &made).expect("the header can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("include/fanfare.h is there");
    assert!(kept == made, "include/fanfare.h is not current; run `make header`");
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

#[test]
fn the_struct_of_options_has_the_numbers_of_the_document_with_their_bounds_and_defaults() {
    let made = header();
    let (_, from) = made.split_once("typedef struct fanfare_options {").expect("the struct");
    let (fields, _) = from.split_once('}').expect("its end");
    let comments: BTreeMap<&str, String> = fields
        .split("/**")
        .filter_map(|part| {
            let (comment, field) = part.split_once("*/")?;
            let name = field.trim().strip_prefix("uint64_t ")?.strip_suffix(';')?;
            let lines = comment.lines().map(|line| line.trim_start_matches([' ', '*']));
            Some((name, lines.collect::<Vec<_>>().join(" ")))
        })
        .collect();
    let options = documented_options();
    for (name, ending) in &options {
        let comment = comments.get(&**name).unwrap_or_else(|| panic!("there is no {name}"));
        assert!(comment.trim().ends_with(ending), "{name}: {comment:?} does not end with {ending}");
    }
    let others: Vec<_> = comments.keys().filter(|name| !options.contains_key(**name)).collect();
    assert_eq!(others, [&"any_host"]);
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

/// The engine's options that are numbers, by their names in C, each with how its comment is to end.
fn documented_options() -> BTreeMap<String, String> {
    let document = std::fs::read_to_string(root().join("docs/options.md")).expect("the document");
    let (_, engine) = document.split_once("## The engine").expect("the engine's table");
    let (engine, _) = engine.split_once("\n## ").expect("its end");
    let rows: Vec<Vec<&str>> = engine
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').skip(1).map(str::trim).collect())
        .collect();
    let name_in_c = |option: &str| {
        let row = rows.iter().find(|row| row[0].trim_matches('`') == option)?;
        Some(option.to_owned() + if row[1] == "time" { "_ms" } else { "" })
    };
    let numbers = rows.iter().filter(|row| ["count", "bytes", "time", "percent"].contains(&row[1]));
    let ending = |row: &Vec<&str>| {
        let bounds = row[2].split('`').map(|part| name_in_c(part).unwrap_or(part.to_owned()));
        format!("Bounds: {}. Default: {}.", bounds.collect::<String>(), row[3])
    };
    numbers.filter_map(|row| Some((name_in_c(row[0].trim_matches('`'))?, ending(row)))).collect()
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
