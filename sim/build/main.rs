//! Verilates the devices under test and compiles them with the shim.
//!
//! Devices: the list below, and the `dut.yaml` that the environment variable `IOMMU_DUT` names.
//! A model is built again only when a file that it reads has changed. A design that Verilator
//! refuses does not stop the build: its error is the harness's when that device is asked for.

mod dut;
mod model;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use dut::Dut;
use model::{Built, Job, Kind, Place, Verilator};

/// Devices of this repository; the last one is the tests' own.
const DUTS: [&str; 4] = [
    "rtl/dut.yaml",
    "testcases/duts/stub/dut.yaml",
    "testcases/duts/stub-bug/dut.yaml",
    PROBE,
];
const PROBE: &str = "sim/tests/probe/dut.yaml";

/// How much of Verilator's complaint is shown by cargo; all of it is shown by the harness.
const SHOWN_LINES: usize = 12;

fn main() {
    if let Err(why) = run() {
        for line in why.lines() {
            println!("cargo::error={line}");
        }
        exit(1);
    }
}

fn run() -> Result<(), String> {
    let sim = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let workspace = sim
        .parent()
        .expect("this crate is in the workspace")
        .to_path_buf();
    for path in ["build", "cpp", "include", "sv", "src/bridge.rs"] {
        println!("cargo::rerun-if-changed={}", sim.join(path).display());
    }
    for name in ["IOMMU_DUT", "LIBCLANG_PATH", "IOMMU_COVERAGE"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let verilator = Verilator::from_env();
    println!(
        "cargo::rustc-env=IOMMU_VERILATOR_VERSION={}",
        verilator.version
    );
    let place = Place {
        workspace: &workspace,
        sim: &sim,
        out: &out,
        verilator: &verilator,
    };

    let duts = find_duts(&workspace)?;
    let coverage = env::var("IOMMU_COVERAGE").is_ok_and(|value| value == "1");
    let jobs: Vec<Job> = duts
        .iter()
        .flat_map(|dut| Kind::ALL.map(|kind| Job { dut, kind }))
        .filter(|job| job.kind != Kind::Coverage || coverage || job.dut.hidden)
        .collect();
    let results = build_all(&jobs, &place);

    let mut failures: Vec<(&str, &str)> = Vec::new();
    for (job, result) in jobs.iter().zip(&results) {
        match result {
            Ok(built) => {
                for source in &built.sources {
                    println!(
                        "cargo::rerun-if-changed={}",
                        workspace.join(source).display()
                    );
                }
                // One kind of model speaks for all.
                if job.kind == Kind::Fast {
                    warn(&job.dut.name, &built.warnings);
                }
                println!("cargo::rustc-link-search=native={}", built.folder.display());
                println!("cargo::rustc-link-lib=static={}", built.library);
            }
            Err(why) => {
                for path in job.dut.files.iter().chain(&job.dut.include_dirs) {
                    watch(&workspace, path);
                }
                if !failures.iter().any(|(name, _)| *name == job.dut.name) {
                    warn(&format!("{} cannot be simulated", job.dut.name), why);
                    failures.push((&job.dut.name, why));
                }
            }
        }
    }

    write_registry(&place, &duts, &jobs, &results, &failures)
        .map_err(|why| format!("{}: {why}", out.display()))?;
    let dpi = results
        .iter()
        .flatten()
        .find(|built| built.dpi_header.is_file());
    let dpi =
        dpi.ok_or("no model could be built, not even the tests' own: the build has no DPI header")?;
    bindings(&place, &dpi.dpi_header)?;
    if !model::only_checked() {
        compile_bridge(&place);
    }
    Ok(())
}

/// Prints the first lines of a text of Verilator's as warnings of cargo's.
fn warn(what: &str, text: &str) {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    for line in lines.iter().take(SHOWN_LINES) {
        println!("cargo::warning={what}: {line}");
    }
    if lines.len() > SHOWN_LINES {
        println!(
            "cargo::warning={what}: and {} more lines",
            lines.len() - SHOWN_LINES
        );
    }
}

/// Has cargo watch a path that may not exist: then its nearest folder, as cargo takes a missing
/// path for a changed one, each time.
fn watch(workspace: &Path, path: &Path) {
    let mut at = workspace.join(path);
    while !at.exists() && at.pop() {}
    if at != workspace {
        println!("cargo::rerun-if-changed={}", at.display());
    }
}

fn find_duts(workspace: &Path) -> Result<Vec<Dut>, String> {
    let mut yamls: Vec<PathBuf> = Vec::new();
    for yaml in DUTS {
        watch(workspace, Path::new(yaml));
        if workspace.join(yaml).is_file() {
            yamls.push(yaml.into());
        } else {
            println!("cargo::warning={yaml} is missing: that device is left out");
        }
    }
    if let Some(own) = env::var("IOMMU_DUT").ok().filter(|own| !own.is_empty()) {
        let full = fs::canonicalize(workspace.join(&own))
            .map_err(|why| format!("IOMMU_DUT={own}: {why}"))?;
        let root = fs::canonicalize(workspace).map_err(|why| why.to_string())?;
        println!("cargo::rerun-if-changed={}", full.display());
        let yaml = full
            .strip_prefix(&root)
            .map(Path::to_path_buf)
            .unwrap_or(full);
        if !yamls.contains(&yaml) {
            yamls.push(yaml);
        }
    }
    let mut duts: Vec<Dut> = Vec::new();
    for yaml in yamls {
        let dut = Dut::read(workspace, &yaml, yaml == Path::new(PROBE))?;
        if let Some(other) = duts.iter().find(|other| other.ident() == dut.ident()) {
            return Err(format!(
                "{}: name: `{}` is taken by {}",
                dut.yaml.display(),
                dut.name,
                other.yaml.display()
            ));
        }
        duts.push(dut);
    }
    duts.sort_by_key(|dut| dut.hidden);
    Ok(duts)
}

/// Builds the models, several at a time; results in the order of the jobs.
fn build_all(jobs: &[Job], place: &Place) -> Vec<Result<Built, String>> {
    let threads = env::var("NUM_JOBS")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(1)
        .clamp(1, jobs.len());
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<Built, String>>>> =
        jobs.iter().map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    *results[index].lock().expect("no thread panics with it") =
                        Some(job.build(place));
                }
            });
        }
    });
    results
        .into_iter()
        .map(|result| {
            result
                .into_inner()
                .expect("no thread panics with it")
                .expect("every job was taken")
        })
        .collect()
}

/// The list of models, for C++ (how to make one) and for Rust (what there is).
fn write_registry(
    place: &Place,
    duts: &[Dut],
    jobs: &[Job],
    results: &[Result<Built, String>],
    failures: &[(&str, &str)],
) -> std::io::Result<()> {
    let built: Vec<(&Job, &Built)> = jobs
        .iter()
        .zip(results)
        .filter_map(|(job, result)| Some((job, result.as_ref().ok()?)))
        .collect();
    let mut cpp = String::from("#include \"model.h\"\n\nnamespace iommu_sim {\n");
    for (_, built) in &built {
        let _ = writeln!(
            cpp,
            "std::unique_ptr<Model> {}(int32_t seed);",
            built.factory
        );
    }
    cpp.push_str("extern const Factory factories[];\nextern const size_t factory_count;\n");
    cpp.push_str("const Factory factories[] = {\n");
    for (_, built) in &built {
        let _ = writeln!(cpp, "    {},", built.factory);
    }
    let _ = writeln!(
        cpp,
        "    nullptr}};\nconst size_t factory_count = {};\n}}",
        built.len()
    );
    fs::write(place.out.join("registry.cpp"), cpp)?;

    let (mut infos, mut models) = (String::new(), String::new());
    for dut in duts {
        let of = |kind| {
            built
                .iter()
                .position(|(job, _)| std::ptr::eq(job.dut, dut) && job.kind == kind)
        };
        let hash = built
            .iter()
            .find(|(job, _)| std::ptr::eq(job.dut, dut))
            .map_or(0, |(_, built)| built.hash);
        let error = failures
            .iter()
            .find(|(name, _)| *name == dut.name)
            .map(|(_, why)| *why);
        let yaml = dut.yaml.display().to_string();
        let _ = writeln!(
            infos,
            "    DutInfo {{ name: {:?}, yaml: {yaml:?}, hash: {hash:#x} }},",
            dut.name
        );
        let _ = writeln!(
            models,
            "    Models {{ of_kind: {:?}, error: {error:?} }},",
            Kind::ALL.map(of)
        );
    }
    let listed = duts.iter().filter(|dut| !dut.hidden).count();
    let rust = format!(
        "static DUTS: &[DutInfo] = &[\n{infos}];\nconst LISTED: usize = {listed};\nstatic MODELS: &[Models] = &[\n{models}];\n"
    );
    fs::write(place.out.join("duts.rs"), rust)
}

/// Rust structs of the pins, and Rust declarations of the DPI functions.
fn bindings(place: &Place, dpi_header: &Path) -> Result<(), String> {
    let own = place.workspace.join(".tools/libclang");
    if env::var_os("LIBCLANG_PATH").is_none_or(|path| path.is_empty()) {
        if !own.exists() {
            return Err("libclang is not set up: run `make setup` once (or set LIBCLANG_PATH to the folder of a \
                        libclang 14 or newer)"
                .to_string());
        }
        // SAFETY: no other thread of this build script is running.
        unsafe { env::set_var("LIBCLANG_PATH", own) };
    }
    // The wheel of libclang brings no stddef.h: the compiler's own serves.
    let compiler = cc::Build::new().get_compiler();
    let headers = Command::new(compiler.path())
        .arg("-print-file-name=include")
        .output();
    let headers = headers
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_default();
    let builder = || {
        let builder = bindgen::builder()
            .layout_tests(true)
            .derive_default(true)
            .derive_eq(true)
            .derive_hash(true);
        match headers.trim() {
            "" => builder,
            folder => builder.clang_arg(format!("-I{folder}")),
        }
    };
    let generate = |builder: bindgen::Builder, name: &str| {
        let bindings = builder
            .generate()
            .map_err(|why| format!("bindgen: {why}"))?;
        bindings
            .write_to_file(place.out.join(name))
            .map_err(|why| format!("{name}: {why}"))
    };
    let pins = place.sim.join("include/iommu_pins.h");
    generate(
        builder()
            .header(pins.display().to_string())
            .allowlist_type("Pins(In|Out)"),
        "pins.rs",
    )?;
    let dpi = builder()
        .header(dpi_header.display().to_string())
        .clang_arg(format!(
            "-I{}",
            place.verilator.include().join("vltstd").display()
        ))
        .clang_args(["-x", "c++"])
        .allowlist_function("cosim_.*");
    generate(dpi, "dpi.rs")
}

fn compile_bridge(place: &Place) {
    cxx_build::bridge(place.sim.join("src/bridge.rs"))
        .file(place.sim.join("cpp/shim.cpp"))
        .file(place.out.join("registry.cpp"))
        .include(place.sim.join("cpp"))
        .include(place.sim.join("include"))
        .include(place.verilator.user_include())
        .std("c++17")
        .opt_level(2)
        .debug(false)
        .compile("iommu_sim_bridge");
}
