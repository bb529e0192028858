//! Verilator on one device under test, and the compiler on what comes out.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::dut::Dut;

/// What the crate of the run-time library found and used.
pub struct Verilator {
    bin: PathBuf,
    root: Option<PathBuf>,
    pub version: String,
    include: PathBuf,
    user_include: PathBuf,
    flags: Vec<String>,
}

impl Verilator {
    /// Reads the metadata of the crate `iommu-verilated`.
    pub fn from_env() -> Verilator {
        let get =
            |key: &str| env::var(format!("DEP_VERILATED_{key}")).expect("set by iommu-verilated");
        Verilator {
            bin: get("BIN").into(),
            root: Some(get("ROOT"))
                .filter(|root| !root.is_empty())
                .map(PathBuf::from),
            version: get("VERSION"),
            include: get("INCLUDE").into(),
            user_include: get("USER_INCLUDE").into(),
            flags: get("FLAGS").split(' ').map(str::to_string).collect(),
        }
    }

    /// Folder of Verilator's C++ headers.
    pub fn include(&self) -> &Path {
        &self.include
    }

    /// Rolled loops compile faster. Old ones (5.006) refuse non-blocking writes to arrays in
    /// them; as their version is no number in the wheel, a folder tells them apart.
    fn rolls_loops(&self) -> bool {
        self.include.join("fstcpp").is_dir()
    }

    pub fn user_include(&self) -> &Path {
        &self.user_include
    }
}

/// What a model can do beyond simulating.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Fast,
    Wave,
    Coverage,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Fast, Kind::Wave, Kind::Coverage];

    pub fn ident(self) -> &'static str {
        match self {
            Kind::Fast => "fast",
            Kind::Wave => "wave",
            Kind::Coverage => "coverage",
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Kind::Fast => &[],
            Kind::Wave => &["--trace-fst", "--trace-structs", "--trace-params"],
            // With `--coverage`, which counts conditions too, 5.48 stops with an internal error.
            Kind::Coverage => &[
                "--coverage-line",
                "--coverage-toggle",
                "--coverage-user",
                // Splitting leaves the counter of an always_comb without branches in a block of
                // its own that depends on nothing: its lines then count as never run.
                "-fno-split",
                "+define+IOMMU_COVERAGE",
            ],
        }
    }

    /// Only the fast model is worth the compiler's time: rolled loops and less optimisation cost
    /// the others some speed and make them in a third of the time.
    fn opt_level(self) -> u32 {
        match self {
            Kind::Fast => 2,
            Kind::Wave | Kind::Coverage => 1,
        }
    }
}

/// Where builds take place and what all of them share.
pub struct Place<'a> {
    pub workspace: &'a Path,
    pub sim: &'a Path,
    pub out: &'a Path,
    pub verilator: &'a Verilator,
}

/// A model that is to be built.
pub struct Job<'a> {
    pub dut: &'a Dut,
    pub kind: Kind,
}

/// A model that was built.
pub struct Built {
    /// Folder and name of its static library.
    pub folder: PathBuf,
    pub library: String,
    /// Function that makes one.
    pub factory: String,
    /// Files it depends on.
    pub sources: Vec<PathBuf>,
    /// Hash of the contents of the design's files.
    pub hash: u64,
    /// Warnings of Verilator, as it printed them.
    pub warnings: String,
    /// Verilator's header of the DPI functions.
    pub dpi_header: PathBuf,
}

/// Simulation sources that every model has beside the design: before it, and after it.
const BEFORE: &str = "sim/sv/iommu_cosim_dpi.sv";
const AFTER: &str = "sim/sv/iommu_cosim_top.sv";

/// A 64-bit FNV-1a hash: stable over machines and versions of Rust.
pub struct Hash(pub u64);

impl Hash {
    pub fn new() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }

    pub fn add(&mut self, bytes: &[u8]) {
        // The length keeps neighbours apart.
        for byte in (bytes.len() as u64).to_le_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

impl Job<'_> {
    fn ident(&self) -> String {
        format!("{}_{}", self.dut.ident(), self.kind.ident())
    }

    fn arguments(&self, place: &Place) -> Vec<String> {
        let mut args: Vec<String> = [
            "--cc",
            "--assert",
            "--no-timing",
            "--x-initial",
            "unique",
            "--x-assign",
            "unique",
            "--timescale-override",
            "1ns/1ns",
            // Style is a matter of lint; what matters to the simulation is shown as a warning.
            "-Wno-fatal",
            "-Wno-lint",
            "-Wno-style",
            "-DIOMMU_COSIM_DPI",
            "--top-module",
            "iommu_cosim_top",
        ]
        .map(String::from)
        .into();
        args.extend(self.kind.flags().iter().map(ToString::to_string));
        if !matches!(self.kind, Kind::Fast) && place.verilator.rolls_loops() {
            args.extend(["--unroll-count", "8"].map(String::from));
        }
        args.push("--prefix".to_string());
        args.push(format!("V{}", self.ident()));
        args.push(format!("-DIOMMU_DUT_TOP={}", self.dut.top));
        if !self.dut.parameters.is_empty() {
            args.push(format!("-DIOMMU_DUT_PARAMS={}", self.dut.parameters));
        }
        args.extend(self.dut.defines.iter().map(|define| format!("-D{define}")));
        args.extend(
            self.dut
                .include_dirs
                .iter()
                .map(|folder| format!("-I{}", folder.display())),
        );
        args.push(BEFORE.to_string());
        for file in &self.dut.files {
            if file.extension().is_some_and(|extension| extension == "f") {
                args.push("-F".to_string());
            }
            args.push(file.display().to_string());
        }
        args.push(AFTER.to_string());
        args
    }

    /// Hash of all that decides how this model comes out, but for the files it reads.
    fn key(&self, place: &Place) -> io::Result<u64> {
        let mut hash = Hash::new();
        hash.add(place.verilator.bin.to_string_lossy().as_bytes());
        hash.add(place.verilator.version.as_bytes());
        for text in self.arguments(place).iter().chain(&place.verilator.flags) {
            hash.add(text.as_bytes());
        }
        for name in ["CXX", "CXXFLAGS"] {
            hash.add(env::var(name).unwrap_or_default().as_bytes());
        }
        for file in [
            "cpp/model_impl.h",
            "cpp/model.h",
            "include/iommu_pins.h",
            "build/model.rs",
        ] {
            hash.add(&fs::read(place.sim.join(file))?);
        }
        hash.add(&fs::read(
            place.verilator.user_include.join("iommu_cosim_user.h"),
        )?);
        Ok(hash.0)
    }

    /// Builds the model, or finds it built from the same files. An error is Verilator's text.
    pub fn build(&self, place: &Place) -> Result<Built, String> {
        let io_error = |why: io::Error| format!("{}: {why}", self.dut.yaml.display());
        let folder = place.out.join(self.ident());
        let stamp = folder.join("stamp");
        let key = self.key(place).map_err(io_error)?;
        if let Some(built) = self.found(place, &folder, &stamp, key) {
            return Ok(built);
        }

        // Stale sources would be compiled.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io_error)?;
        }
        fs::create_dir_all(&folder).map_err(io_error)?;
        let start = SystemTime::now();
        let mut command = Command::new(&place.verilator.bin);
        command
            .current_dir(place.workspace)
            .env_remove("VERILATOR_ROOT");
        if let Some(root) = &place.verilator.root {
            command.env("VERILATOR_ROOT", root);
        }
        command
            .args(self.arguments(place))
            .arg("--Mdir")
            .arg(&folder);
        let output = command
            .output()
            .map_err(|why| format!("{} cannot be run: {why}", place.verilator.bin.display()))?;
        let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            return Err(warnings);
        }

        let sources = self.sources(place, &folder).map_err(io_error)?;
        let ports = self.ports(&folder).map_err(io_error)?;
        self.compile(place, &folder, &ports).map_err(io_error)?;

        // A file that was saved meanwhile may not be what Verilator read: then the next run, which
        // cargo will start because of it, has to build again.
        let saved = |source: &PathBuf| fs::metadata(place.workspace.join(source))?.modified();
        let times = sources
            .iter()
            .map(saved)
            .collect::<io::Result<Vec<_>>>()
            .map_err(io_error)?;
        if times.iter().all(|time| *time < start) {
            let mut lines = format!("{key:016x}\n{}\n", warnings.lines().count());
            lines.push_str(&warnings);
            for source in &sources {
                let hash = file_hash(&place.workspace.join(source)).map_err(io_error)?;
                lines.push_str(&format!("{hash:016x} {}\n", source.display()));
            }
            fs::write(&stamp, lines).map_err(io_error)?;
        }
        self.built(place, folder, sources, warnings)
            .map_err(io_error)
    }

    /// The model of an earlier run, if nothing changed since.
    fn found(&self, place: &Place, folder: &Path, stamp: &Path, key: u64) -> Option<Built> {
        let text = fs::read_to_string(stamp).ok()?;
        let mut lines = text.lines();
        if u64::from_str_radix(lines.next()?, 16).ok()? != key {
            return None;
        }
        let count = lines.next()?.parse().ok()?;
        let warnings: String = lines
            .by_ref()
            .take(count)
            .map(|line| format!("{line}\n"))
            .collect();
        let mut sources = Vec::new();
        for line in lines {
            let (hash, path) = line.split_once(' ')?;
            let path = PathBuf::from(path);
            if file_hash(&place.workspace.join(&path)).ok()?
                != u64::from_str_radix(hash, 16).ok()?
            {
                return None;
            }
            sources.push(path);
        }
        self.built(place, folder.to_path_buf(), sources, warnings)
            .ok()
    }

    fn built(
        &self,
        place: &Place,
        folder: PathBuf,
        sources: Vec<PathBuf>,
        warnings: String,
    ) -> io::Result<Built> {
        let mut hash = Hash::new();
        for source in sources
            .iter()
            .filter(|source| *source != Path::new(BEFORE) && *source != Path::new(AFTER))
        {
            hash.add(
                source
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .as_bytes(),
            );
            hash.add(&fs::read(place.workspace.join(source))?);
        }
        for text in self
            .dut
            .defines
            .iter()
            .chain([&self.dut.parameters, &self.dut.top])
        {
            hash.add(text.as_bytes());
        }
        let ident = self.ident();
        Ok(Built {
            library: format!("model_{ident}"),
            factory: format!("make_{ident}"),
            dpi_header: folder.join(format!("V{ident}__Dpi.h")),
            folder,
            sources,
            hash: hash.0,
            warnings,
        })
    }

    /// The files that Verilator read, relative to the workspace where they lie inside.
    fn sources(&self, place: &Place, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let own = fs::canonicalize(&place.verilator.include)?;
        let listed = fs::read_to_string(folder.join(format!("V{}__verFiles.dat", self.ident())))?;
        let mut sources: Vec<PathBuf> = listed
            .lines()
            .filter(|line| line.starts_with("S "))
            .filter_map(|line| line.rsplit('"').nth(1))
            .map(PathBuf::from)
            // Neither Verilator itself nor its own library.
            .filter(|path| {
                let full = fs::canonicalize(place.workspace.join(path)).unwrap_or_default();
                !full.starts_with(&own)
                    && path.file_name().is_some_and(|name| name != "verilator_bin")
            })
            .collect();
        sources.extend(
            self.dut
                .files
                .iter()
                .filter(|file| file.extension().is_some_and(|e| e == "f"))
                .cloned(),
        );
        sources.sort();
        sources.dedup();
        Ok(sources)
    }

    /// Constants `port_width_<port>` from the declarations in the model's header.
    fn ports(&self, folder: &Path) -> io::Result<String> {
        let header = fs::read_to_string(folder.join(format!("V{}.h", self.ident())))?;
        let mut text = String::new();
        let mut count = 0;
        for line in header.lines() {
            let line = line.trim();
            let Some((kind, rest)) = line.split_once("(&") else {
                continue;
            };
            if !(kind.starts_with("VL_IN") || kind.starts_with("VL_OUT")) {
                continue;
            }
            // VL_IN8(&name,msb,lsb); VL_INW(&name,msb,lsb,words);
            let mut parts = rest.trim_end_matches([';', ')']).split(',');
            let name = parts.next().unwrap_or_default();
            let bound = |part: Option<&str>| part.and_then(|part| part.trim().parse::<i32>().ok());
            let (Some(msb), Some(lsb)) = (bound(parts.next()), bound(parts.next())) else {
                continue;
            };
            text.push_str(&format!(
                "constexpr int port_width_{name} = {};\n",
                msb - lsb + 1
            ));
            count += 1;
        }
        text.push_str(&format!("constexpr int port_count = {count};\n"));
        Ok(text)
    }

    fn compile(&self, place: &Place, folder: &Path, ports: &str) -> io::Result<()> {
        let ident = self.ident();
        let model = format!(
            "#include \"V{ident}.h\"\n\
             #define MODEL V{ident}\n\
             #define MODEL_FACTORY make_{ident}\n\
             #define MODEL_TRACE {}\n\
             {ports}\
             #include \"model_impl.h\"\n",
            u8::from(self.kind == Kind::Wave)
        );
        let shim = folder.join(format!("model_{ident}.cpp"));
        fs::write(&shim, model)?;
        if only_checked() {
            return Ok(());
        }

        let sources: Vec<PathBuf> = fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "cpp"))
            .collect();
        // What Verilator calls slow runs once, when a model is made.
        let (slow, often): (Vec<_>, Vec<_>) = sources.into_iter().partition(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().ends_with("__Slow.cpp"))
        });
        let slow = bundles(folder, "slow", slow)?;
        let often = bundles(folder, "often", often)?;
        let compiler = |opt_level| {
            let mut build = cc::Build::new();
            build
                .cpp(true)
                .opt_level(opt_level)
                .debug(false)
                .warnings(false)
                .pic(true)
                .cargo_metadata(false);
            for flag in &place.verilator.flags {
                build.flag(flag);
            }
            build
                .flag("-include")
                .flag(place.verilator.user_include.join("iommu_cosim_user.h"));
            build
                .include(folder)
                .include(&place.verilator.include)
                .include(place.verilator.include.join("vltstd"));
            build.include(&place.verilator.user_include);
            build
                .include(place.sim.join("cpp"))
                .include(place.sim.join("include"))
                .out_dir(folder);
            build
        };
        let error = |why: cc::Error| io::Error::other(why.to_string());
        let objects = compiler(0)
            .files(slow)
            .try_compile_intermediates()
            .map_err(error)?;
        compiler(self.kind.opt_level())
            .files(often)
            .objects(objects)
            .try_compile(&format!("model_{ident}"))
            .map_err(error)
    }
}

/// Clippy has its own run of this build script and links nothing: compiling the models for it would
/// double the time of `make test`.
pub fn only_checked() -> bool {
    env::var("RUSTC_WORKSPACE_WRAPPER").is_ok_and(|wrapper| wrapper.ends_with("clippy-driver"))
}

/// Sources put together: reading Verilator's headers takes longer than compiling a small source.
/// The largest come first, so that none of them is left for the end, alone on one core.
fn bundles(folder: &Path, name: &str, sources: Vec<PathBuf>) -> io::Result<Vec<PathBuf>> {
    const ENOUGH: u64 = 500_000;
    let mut sized: Vec<(u64, PathBuf)> = sources
        .into_iter()
        .map(|path| Ok((fs::metadata(&path)?.len(), path)))
        .collect::<io::Result<_>>()?;
    sized.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut bundles: Vec<(u64, String)> = Vec::new();
    for (size, path) in sized {
        let line = format!("#include \"{}\"\n", path.display());
        match bundles
            .last_mut()
            .filter(|(filled, _)| filled + size <= ENOUGH)
        {
            Some((filled, text)) => {
                *filled += size;
                text.push_str(&line);
            }
            None => bundles.push((size, line)),
        }
    }
    let mut paths = Vec::new();
    for (number, (_, text)) in bundles.into_iter().enumerate() {
        let path = folder.join(format!("bundle_{name}_{number}.cpp"));
        fs::write(&path, text)?;
        paths.push(path);
    }
    Ok(paths)
}

fn file_hash(path: &Path) -> io::Result<u64> {
    let mut hash = Hash::new();
    hash.add(&fs::read(path)?);
    Ok(hash.0)
}
