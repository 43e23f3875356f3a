//! What `include/fanfare.h` declares, read from its text: constants, structs, other types, functions.
//! It understands what cbindgen writes, and not C as a whole.

use std::fmt::Write;

/// The declarations of a header, each kind in its order.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(crate) constants: Vec<Constant>,
    pub(crate) structs: Vec<Struct>,
    /// Types that are another number by a name of their own.
    pub(crate) numbers: Vec<String>,
    /// Types of pointers to functions, and how they are declared.
    pub(crate) callbacks: Vec<(String, String)>,
    pub(crate) functions: Vec<Function>,
}

/// A number with a name: of a `#define`, or of an enum.
#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) of_enum: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) fields: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Its declaration in one line.
    pub(crate) declaration: String,
}

impl Declared {
    /// Reads a whole header.
    pub(crate) fn of(header: &str) -> Declared {
        let mut declared = Declared::default();
        let mut code = String::new();
        let mut conditions: Vec<&str> = Vec::new();
        for line in without_comments(header).lines() {
            let hidden = |condition: &&str| {
                condition.contains("DECLARATIONS_ONLY") || condition.contains("__cplusplus")
            };
            match line.trim_start().strip_prefix('#') {
                Some(directive) if directive.starts_with("if") => conditions.push(directive),
                Some(directive) if directive.starts_with("endif") => drop(conditions.pop()),
                _ if conditions.iter().any(hidden) => {}
                Some(directive) => declared.constants.extend(defined(directive)),
                None => {
                    code.push_str(line);
                    code.push('\n');
                }
            }
        }
        for item in items(&code) {
            declared.take(&item);
        }
        declared
    }

    fn take(&mut self, item: &str) {
        let Some(definition) = item.strip_prefix("typedef ") else {
            self.functions.extend(function(item));
            return;
        };
        match (definition.split_once('{'), definition.split_once("(*")) {
            (Some((head, body)), _) => {
                let (body, name) = body.rsplit_once('}').expect("a body has an end");
                let name = name.trim().to_owned();
                if head.starts_with("enum ") {
                    self.constants.extend(entries(body, ',').map(|entry| Constant {
                        name: last_word(entry.split('=').next().expect("a name")),
                        of_enum: Some(name.clone()),
                    }));
                } else {
                    let fields = entries(body, ';').map(field).collect();
                    self.structs.push(Struct { name, fields });
                }
            }
            (None, Some((_, named))) => {
                let name = named.split(')').next().expect("a name").trim().to_owned();
                self.callbacks.push((name, definition.to_owned()));
            }
            (None, None) if definition.starts_with("struct ") => {}
            (None, None) => self.numbers.push(last_word(definition)),
        }
    }

    /// The list that `tests/layout.rs` compares with the library, as a call of its macro.
    pub(crate) fn list(&self) -> String {
        let mut list =
            "// What the header declares, by its names in Rust. Made by `make header`.\n\n\
             declared! {\n"
                .to_owned();
        for Constant { name, of_enum } in &self.constants {
            let path = of_enum.as_ref().map_or(name.clone(), |of| format!("{}::{name}", rust(of)));
            writeln!(list, "    constant {path} {name:?};").expect("a string takes all");
        }
        for name in &self.numbers {
            writeln!(list, "    number {} {name:?};", rust(name)).expect("a string takes all");
        }
        for Struct { name, fields } in &self.structs {
            let fields: Vec<String> = fields.iter().map(|field| rust_field(field)).collect();
            let fields = fields.join(", ");
            writeln!(list, "    layout {} {name:?} [{fields}];", rust(name)).expect("as above");
        }
        list + "}\n"
    }
}

/// The type's name in Rust: cbindgen.toml has it the other way round.
fn rust(name: &str) -> String {
    let parts = name.split('_').map(|part| {
        let (first, rest) = part.split_at(1);
        first.to_uppercase() + rest
    });
    parts.collect()
}

fn rust_field(name: &str) -> String {
    match name {
        "type" | "match" | "in" | "ref" | "move" | "where" => format!("r#{name}"),
        _ => name.to_owned(),
    }
}

/// A `#define` of a number that is of the ABI: the library's version is not.
fn defined(directive: &str) -> Option<Constant> {
    let rest = directive.strip_prefix("define ")?;
    let (name, value) = rest.split_once(' ')?;
    let is_number = !name.contains('(')
        && value
            .trim()
            .starts_with(|first: char| first.is_ascii_digit() || first == '-' || first == '(');
    let of_abi = is_number && !name.starts_with("FANFARE_VERSION_");
    of_abi.then(|| Constant { name: name.to_owned(), of_enum: None })
}

fn function(item: &str) -> Option<Function> {
    let (head, _) = item.split_once('(')?;
    Some(Function { name: last_word(head), declaration: item.to_owned() })
}

/// A field's name: before an array's length, or in a pointer to a function.
fn field(declaration: &str) -> String {
    match declaration.split_once("(*") {
        Some((_, named)) => named.split(')').next().expect("a name").to_owned(),
        None => last_word(declaration.split('[').next().expect("a name")),
    }
}

fn last_word(text: &str) -> String {
    text.trim().rsplit([' ', '*']).next().expect("a word").to_owned()
}

fn entries(body: &str, separator: char) -> impl Iterator<Item = &str> {
    body.split(separator).map(str::trim).filter(|entry| !entry.is_empty())
}

/// What ends with a semicolon outside of braces, each in one line with single spaces.
fn items(code: &str) -> Vec<String> {
    let (mut items, mut item, mut depth) = (Vec::new(), String::new(), 0);
    for character in code.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => {
                let words: Vec<&str> = item.split_whitespace().collect();
                items.push(words.join(" "));
                item.clear();
                continue;
            }
            _ => {}
        }
        item.push(character);
    }
    items
}

fn without_comments(header: &str) -> String {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("a comment has an end").1;
    }
    code + rest
}
