//! The committed header is what cbindgen makes of the sources.

use std::path::Path;

/// In the order of the header.
const SOURCES: [&str; 10] = [
    "status",
    "config",
    "device",
    "memory",
    "register",
    "translate",
    "fault",
    "command",
    "ats",
    "interrupt",
];

#[test]
fn the_committed_header_is_what_cbindgen_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(root.join("src").join(source).with_extension("rs"));
    }
    let mut made = Vec::new();
    builder.generate().expect("cbindgen").write(&mut made);
    let made = String::from_utf8(made).expect("text");

    // Every exported function is in it: a source that the list forgets would be missed.
    let mut exported = 0;
    for file in std::fs::read_dir(root.join("src")).expect("src") {
        let source = std::fs::read_to_string(file.expect("src").path()).expect("source");
        for line in source.lines() {
            if let Some((_, rest)) = line.split_once("extern \"C\" fn iommu_") {
                let name = rest.split('(').next().unwrap_or("");
                assert!(
                    made.contains(&format!("iommu_{name}(")),
                    "{name} is missing"
                );
                exported += 1;
            }
        }
    }
    assert!(exported > 30, "{exported} functions");

    let path = root.join("include/iommu_golden.h");
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::create_dir_all(root.join("include")).expect("include");
        std::fs::write(&path, &made).expect("the header");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some((n, (a, b))) = committed
        .lines()
        .chain(std::iter::repeat(""))
        .zip(made.lines())
        .enumerate()
        .find(|(_, (a, b))| a != b)
    {
        panic!(
            "include/iommu_golden.h is not what src/ says, from line {}:\n  it has  {a}\n  \
             made is {b}\nrefresh it: UPDATE_HEADER=1 cargo test -p iommu-golden-c --test header",
            n + 1
        );
    }
    assert_eq!(
        committed, made,
        "refresh it: UPDATE_HEADER=1 cargo test -p iommu-golden-c --test header"
    );
}
