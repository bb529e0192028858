//! The header, the static and the shared library as C and C++ programs use them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Cargo puts the libraries beside the test: they were built together.
fn libraries() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let folder = test.parent().expect("a folder").to_owned();
    for name in ["libiommu_golden_c.a", "libiommu_golden_c.so"] {
        assert!(folder.join(name).exists(), "no {name} beside the test");
    }
    folder
}

fn run(command: &mut Command) -> String {
    let out = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        out.status.success(),
        "{command:?}: {}\n{}{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Compiles `source`, links it (with `shared`, with the shared library) and runs it.
fn program(compiler: &str, standard: &str, source: &str, shared: bool) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("program");
    let libraries = libraries();
    let mut compile = Command::new(compiler);
    compile
        .args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
        .arg(root.join("include"))
        .arg(root.join(source))
        .arg("-o")
        .arg(&program);
    if shared {
        let mut rpath = std::ffi::OsString::from("-Wl,-rpath,");
        rpath.push(&libraries);
        compile
            .arg(libraries.join("libiommu_golden_c.so"))
            .arg(rpath);
    } else {
        compile
            .arg(libraries.join("libiommu_golden_c.a"))
            .args(["-lpthread", "-ldl", "-lm"]);
    }
    run(&mut compile);
    run(&mut Command::new(&program))
}

#[test]
fn the_c_example_runs_with_either_library() {
    for shared in [false, true] {
        let said = program("gcc", "-std=c11", "examples/walk.c", shared);
        assert!(said.contains("0x5678 -> 0x80000678"), "{said}");
        assert!(said.contains("cause 15"), "{said}");
    }
}

#[test]
fn the_header_is_cpp() {
    program("g++", "-std=c++14", "tests/c/header.cpp", false);
}
