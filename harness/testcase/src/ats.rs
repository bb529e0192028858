//! What devices with a translation cache of their own (PCIe ATS) do and expect.

use std::fmt;

/// Status of a translation completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtsStatus {
    /// Success, perhaps without any permission.
    Success,
    /// Unsupported Request.
    UnsupportedRequest,
    /// Completer Abort.
    CompleterAbort,
}

impl AtsStatus {
    /// Names in test cases, in the order of [`AtsStatus::ALL`].
    pub const NAMES: [&'static str; 3] = ["success", "ur", "ca"];
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::Success,
        Self::UnsupportedRequest,
        Self::CompleterAbort,
    ];

    /// Encoding in the completion (docs/pins.md).
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UnsupportedRequest => 1,
            Self::CompleterAbort => 4,
        }
    }
}

/// The first range of a translation completion as a test expects it; `None` is not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AtsExpect {
    /// Status.
    pub status: Option<AtsStatus>,
    /// Where the page that was asked for leads.
    pub page: Option<u64>,
    /// log2 of the range at most, and (where the specification leaves no less) at least.
    pub at_most_log2: Option<u8>,
    /// R.
    pub read: Option<bool>,
    /// W.
    pub write: Option<bool>,
    /// Exe.
    pub execute: Option<bool>,
    /// U: untranslated access only.
    pub untranslated: Option<bool>,
    /// Global.
    pub global: Option<bool>,
    /// Priv.
    pub privileged: Option<bool>,
}

/// A range as it came; what [`AtsExpect`] is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AtsGot {
    /// Status code.
    pub status: u8,
    /// Translated address of the page that was asked for.
    pub page: u64,
    /// log2 of the range.
    pub log2: u8,
    /// R.
    pub read: bool,
    /// W.
    pub write: bool,
    /// Exe.
    pub execute: bool,
    /// U.
    pub untranslated: bool,
    /// Global.
    pub global: bool,
    /// Priv.
    pub privileged: bool,
}

impl AtsExpect {
    /// Whether what came is as expected.
    #[must_use]
    pub fn fits(&self, got: &AtsGot) -> bool {
        fn same<T: PartialEq>(wanted: Option<T>, got: T) -> bool {
            wanted.is_none_or(|w| w == got)
        }
        same(self.status.map(AtsStatus::code), got.status)
            && same(self.page, got.page)
            && self.at_most_log2.is_none_or(|n| got.log2 <= n)
            && same(self.read, got.read)
            && same(self.write, got.write)
            && same(self.execute, got.execute)
            && same(self.untranslated, got.untranslated)
            && same(self.global, got.global)
            && same(self.privileged, got.privileged)
    }
}

/// A translation request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtsAsk {
    /// device_id.
    pub device_id: u32,
    /// PASID.
    pub process_id: Option<u32>,
    /// Privileged mode requested.
    pub privileged: bool,
    /// Execute requested.
    pub execute: bool,
    /// NW.
    pub no_write: bool,
    /// Untranslated address.
    pub addr: u64,
    /// Translations asked for.
    pub count: u16,
    /// From a CXL type 1 or 2 device.
    pub cxl: bool,
    /// What must come back.
    pub expect: AtsExpect,
}

/// A page request or stop marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageAsk {
    /// device_id.
    pub device_id: u32,
    /// PASID.
    pub process_id: Option<u32>,
    /// Privileged mode requested.
    pub privileged: bool,
    /// Execute requested.
    pub execute: bool,
    /// Message body: `{address[63:12], PRGI[8:0], L, W, R}`.
    pub payload: u64,
}

impl PageAsk {
    /// Its record in the page-request queue (section "Page-Request-Queue").
    #[must_use]
    pub fn record(&self) -> [u64; 2] {
        let mut first = u64::from(self.device_id) << 40;
        if let Some(p) = self.process_id {
            first |= u64::from(p) << 12
                | 1 << 32
                | u64::from(self.privileged) << 33
                | u64::from(self.execute) << 34;
        }
        [first, self.payload]
    }
}

/// A message from the IOMMU to a device, as a test expects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtsMessage {
    /// Invalidation request.
    Invalidation {
        /// device_id; without a segment, the requester id.
        device_id: u32,
        /// PASID.
        process_id: Option<u32>,
        /// Message body.
        payload: u64,
    },
    /// Page request group response.
    Response {
        /// device_id.
        device_id: u32,
        /// PASID.
        process_id: Option<u32>,
        /// Page request group index.
        group: u16,
        /// Response code.
        code: u8,
    },
}

impl fmt::Display for AtsMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pasid = |p: Option<u32>| p.map_or(String::new(), |p| format!(", process {p:#x}"));
        match *self {
            Self::Invalidation {
                device_id,
                process_id,
                payload,
            } => write!(
                f,
                "invalidation request to {device_id:#x}{}, payload {payload:#x}",
                pasid(process_id)
            ),
            Self::Response {
                device_id,
                process_id,
                group,
                code,
            } => write!(
                f,
                "page request group response to {device_id:#x}{}, group {group}, code {code}",
                pasid(process_id)
            ),
        }
    }
}

/// How devices behave at the ATS channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtsDevices {
    /// They answer invalidations by themselves.
    pub answers: bool,
    /// Clocks from an invalidation to its first completion.
    pub delay: u32,
    /// Completions that make up an answer, 1 to 8.
    pub completions: u8,
    /// They take nothing.
    pub stopped: bool,
    /// Chance in percent that they are ready in a clock.
    pub ready: u8,
}

impl Default for AtsDevices {
    fn default() -> Self {
        Self {
            answers: true,
            delay: 8,
            completions: 1,
            stopped: false,
            ready: 100,
        }
    }
}

/// How an access finds its translation in the device's own cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Atc {
    /// The device has no cache, or does not use it.
    #[default]
    None,
    /// It does not matter whether the translation is there.
    Any,
    /// It must be there.
    Hit,
    /// It must not be there.
    Miss,
}

impl Atc {
    /// Names in test cases, in the order of [`Atc::ALL`].
    pub const NAMES: [&'static str; 4] = ["none", "any", "hit", "miss"];
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Any, Self::Hit, Self::Miss];
}
