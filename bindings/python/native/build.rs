//! Writes what cffi understands of the C header to where maturin looks for it, which is `header.h` in
//! Cargo's target folder.

use std::path::{Path, PathBuf};
use std::{env, fs};

const HEADER: &str = "../../../include/fanfare.h";

fn main() {
    println!("cargo::rerun-if-changed={HEADER}");
    println!("cargo::rerun-if-changed=build.rs");
    let header = fs::read_to_string(HEADER).expect("the C header is in the repository");
    fs::write(target_folder().join("header.h"), declarations(&header))
        .expect("Cargo's target folder can be written to");
}

/// Cargo's target folder: `OUT_DIR` is some folders below it, in one that has a profile's name.
fn target_folder() -> PathBuf {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    let is_root = |folder: &&Path| folder.join("CACHEDIR.TAG").exists();
    let root = out.ancestors().find(is_root).or(out.ancestors().nth(4));
    root.expect("OUT_DIR is below the target folder").to_owned()
}

/// The declarations, and of the preprocessor's lines the numbers alone.
fn declarations(header: &str) -> String {
    let mut kept = String::new();
    let mut is_left_out = false;
    for line in without_comments(header).lines() {
        match line {
            "#ifdef __cplusplus" | "#ifndef FANFARE_DECLARATIONS_ONLY" => is_left_out = true,
            _ if is_left_out => is_left_out = !line.starts_with("#endif"),
            _ if !line.starts_with('#') || is_number(line) => {
                kept.push_str(line);
                kept.push('\n');
            }
            _ => {}
        }
    }
    kept
}

fn without_comments(header: &str) -> String {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    code.push_str(rest);
    code
}

/// Whether a line is `#define NAME 64`, or `64u`.
fn is_number(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let is_digits =
        |word: &str| word.trim_end_matches('u').bytes().all(|byte| byte.is_ascii_digit());
    words.next() == Some("#define") && words.nth(1).is_some_and(is_digits) && words.next().is_none()
}
