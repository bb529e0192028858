//! The part of a `dut.yaml` that says what to compile.

use std::fs;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

/// A device under test: what to compile and how.
pub struct Dut {
    /// Name on the command line.
    pub name: String,
    /// Path of its `dut.yaml`, relative to the workspace where it lies inside.
    pub yaml: PathBuf,
    /// Not for users: the tests' own.
    pub hidden: bool,
    pub top: String,
    /// RTL sources and file lists (`.f`), in order; relative like `yaml`.
    pub files: Vec<PathBuf>,
    pub include_dirs: Vec<PathBuf>,
    /// `NAME` or `NAME=value`.
    pub defines: Vec<String>,
    /// Parameter assignments as SystemVerilog: `.A(1), .B(2)`.
    pub parameters: String,
}

impl Dut {
    /// Reads `yaml` (relative to `workspace`, or absolute).
    pub fn read(workspace: &Path, yaml: &Path, hidden: bool) -> Result<Dut, String> {
        let at = yaml.display();
        let text =
            fs::read_to_string(workspace.join(yaml)).map_err(|why| format!("{at}: {why}"))?;
        let root: Value = serde_yaml::from_str(&text).map_err(|why| format!("{at}: {why}"))?;
        let name = string(root.get("name"), "name").map_err(|why| format!("{at}: {why}"))?;
        if name.is_empty()
            || !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        {
            return Err(format!(
                "{at}: name: `{name}` may hold letters, digits, `-`, `_` and `.` only"
            ));
        }
        let rtl = root
            .get("rtl")
            .ok_or(format!("{at}: there is no `rtl` section"))?;
        let read = || -> Result<Dut, String> {
            let folder = yaml.parent().unwrap_or(Path::new(""));
            let paths = |key| -> Result<Vec<PathBuf>, String> {
                Ok(list(rtl.get(key), key)?
                    .iter()
                    .map(|path| tidy(&folder.join(path)))
                    .collect())
            };
            let files = paths("files")?;
            if files.is_empty() {
                return Err("files: there is none".to_string());
            }
            Ok(Dut {
                name: name.clone(),
                yaml: yaml.to_path_buf(),
                hidden,
                top: string(rtl.get("top"), "top")?,
                files,
                include_dirs: paths("include_dirs")?,
                defines: defines(rtl.get("defines"))?,
                parameters: parameters(rtl.get("parameters"))?,
            })
        };
        read().map_err(|why| format!("{at}: rtl.{why}"))
    }

    /// The name as a part of C++ names.
    pub fn ident(&self) -> String {
        self.name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect()
    }
}

/// A path without `.` and, where it can be told, without `..`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir
                if matches!(
                    tidy.components().next_back(),
                    Some(std::path::Component::Normal(_))
                ) =>
            {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}

fn string(value: Option<&Value>, key: &str) -> Result<String, String> {
    match value {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("{key}: a word is expected")),
        None => Err(format!("{key}: is missing")),
    }
}

fn list(value: Option<&Value>, key: &str) -> Result<Vec<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Sequence(items)) => items.iter().map(|item| string(Some(item), key)).collect(),
        Some(_) => Err(format!("{key}: a list is expected")),
    }
}

fn scalar(value: &Value, key: &str) -> Result<String, String> {
    match value {
        Value::Bool(bit) => Ok(u8::from(*bit).to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text.clone()),
        _ => Err(format!("{key}: a number or a word is expected")),
    }
}

fn entries(value: Option<&Value>, key: &str) -> Result<Vec<(String, Value)>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Mapping(map)) => map
            .iter()
            .map(|(name, value)| {
                let name = string(Some(name), key)?;
                if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                    return Err(format!("{key}: `{name}` is not a name"));
                }
                Ok((name, value.clone()))
            })
            .collect(),
        Some(_) => Err(format!("{key}: entries `NAME: value` are expected")),
    }
}

fn defines(value: Option<&Value>) -> Result<Vec<String>, String> {
    if let Some(Value::Sequence(_)) = value {
        return list(value, "defines");
    }
    entries(value, "defines")?
        .into_iter()
        .map(|(name, value)| match value {
            Value::Null => Ok(name),
            value => Ok(format!(
                "{name}={}",
                scalar(&value, &format!("defines.{name}"))?
            )),
        })
        .collect()
}

fn parameters(value: Option<&Value>) -> Result<String, String> {
    let assigned: Result<Vec<String>, String> = entries(value, "parameters")?
        .into_iter()
        .map(|(name, value)| {
            Ok(format!(
                ".{name}({})",
                scalar(&value, &format!("parameters.{name}"))?
            ))
        })
        .collect();
    Ok(assigned?.join(", "))
}
