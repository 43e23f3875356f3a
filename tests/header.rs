//! `include/fanfare.h` is what cbindgen makes of `src/ffi`. To make it anew: `make header`.

use std::path::Path;

#[test]
fn the_header_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("a configuration");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in ["status.rs", "options.rs", "event.rs", "hub.rs"] {
        builder = builder.with_src(root.join("src/ffi").join(file));
    }
    let mut made = Vec::new();
    builder.generate().expect("cbindgen understands src/ffi").write(&mut made);
    let made = for_c(&String::from_utf8(made).expect("a header is text"));
    let version = env!("CARGO_PKG_VERSION").split('.').zip(["MAJOR", "MINOR", "PATCH"]);
    for (number, name) in version {
        assert!(made.contains(&format!("#define FANFARE_VERSION_{name} {number}\n")), "{name}");
    }
    let path = root.join("include/fanfare.h");
    if std::env::var_os("FANFARE_HEADER_WRITE").is_some() {
        std::fs::create_dir_all(root.join("include")).expect("include/ can be made");
        std::fs::write(&path, &made).expect("the header can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("include/fanfare.h is there");
    assert!(kept == made, "include/fanfare.h is not current; run `make header`");
}

/// What a C programmer has to keep to is in the text; the `# Safety` sections say it once more to
/// Rust callers. Negative codes get parentheses, so that they are safe in any expression.
fn for_c(header: &str) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut in_safety = false;
    for line in header.lines() {
        let text = line.trim_start_matches([' ', '*']);
        if text == "# Safety" {
            in_safety = true;
            kept.pop();
        } else if text == "/" {
            in_safety = false;
        }
        if !in_safety {
            kept.push(match line.strip_prefix("#define ").and_then(|l| l.split_once(" -")) {
                Some((name, number)) => format!("#define {name} (-{number})"),
                None => line.to_owned(),
            });
        }
    }
    kept.join("\n") + "\n"
}
