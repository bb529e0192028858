//! Messages of the ATS channels: the packed structs of docs/pins.md as values, and back.

/// Packs fields from bit 0 upwards.
#[derive(Default)]
struct Packer {
    words: [u32; 5],
    at: usize,
}

impl Packer {
    fn put(mut self, value: impl Into<u64>, width: usize) -> Self {
        let value = value.into();
        for n in 0..width {
            let bit = self.at + n;
            if let Some(word) = self.words.get_mut(bit / 32) {
                *word |= ((value >> n & 1) as u32) << (bit % 32);
            }
        }
        self.at += width;
        self
    }

    /// The first `N` words.
    fn words<const N: usize>(&self) -> [u32; N] {
        std::array::from_fn(|n| self.words.get(n).copied().unwrap_or(0))
    }

    fn word(&self) -> u64 {
        u64::from(self.words[0]) | u64::from(self.words[1]) << 32
    }
}

/// Takes fields from bit 0 upwards.
struct Unpacker<'a> {
    words: &'a [u32],
    at: usize,
}

impl<'a> Unpacker<'a> {
    fn new(words: &'a [u32]) -> Self {
        Self { words, at: 0 }
    }

    fn take(&mut self, width: usize) -> u64 {
        let value = (0..width).fold(0, |v, n| {
            let bit = self.at + n;
            let word = self.words.get(bit / 32).copied().unwrap_or(0);
            v | u64::from(word >> (bit % 32) & 1) << n
        });
        self.at += width;
        value
    }

    fn flag(&mut self) -> bool {
        self.take(1) != 0
    }

    /// A value whose valid bit stands above it.
    fn option(&mut self, width: usize) -> Option<u32> {
        let value = self.take(width) as u32;
        self.flag().then_some(value)
    }
}

/// The two words of a struct of up to 64 bits.
fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// An ATS translation request (`s_ats_tr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AtsRequest {
    /// Comes back with the completion, 10 bits.
    pub tag: u16,
    /// device_id, 24 bits.
    pub device_id: u32,
    /// process_id, when valid.
    pub process_id: Option<u32>,
    /// Privileged mode requested.
    pub privileged: bool,
    /// Execute requested.
    pub execute: bool,
    /// NW.
    pub no_write: bool,
    /// Untranslated address.
    pub addr: u64,
    /// Translations asked for, minus one.
    pub length: u8,
    /// From a CXL type 1 or 2 device.
    pub cxl: bool,
}

impl AtsRequest {
    /// The beat, least significant word first.
    #[must_use]
    pub fn pack(&self) -> [u32; 5] {
        Packer::default()
            .put(self.cxl, 1)
            .put(self.length, 8)
            .put(self.addr, 64)
            .put(self.no_write, 1)
            .put(self.execute, 1)
            .put(self.privileged, 1)
            .put(self.process_id.unwrap_or(0), 20)
            .put(self.process_id.is_some(), 1)
            .put(self.device_id, 24)
            .put(self.tag, 10)
            .words()
    }

    /// The request that a beat carries.
    #[must_use]
    pub fn unpack(words: &[u32; 5]) -> Self {
        let mut u = Unpacker::new(words);
        Self {
            cxl: u.flag(),
            length: u.take(8) as u8,
            addr: u.take(64),
            no_write: u.flag(),
            execute: u.flag(),
            privileged: u.flag(),
            process_id: u.option(20),
            device_id: u.take(24) as u32,
            tag: u.take(10) as u16,
        }
    }
}

/// One range of an ATS translation completion (`m_ats_tc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AtsRange {
    /// Of the request.
    pub tag: u16,
    /// 0 success, 1 unsupported request, 4 completer abort.
    pub status: u8,
    /// Last range of the completion.
    pub last: bool,
    /// Translated address, bits 63:12; with `large` its low bits tell the size.
    pub addr: u64,
    /// S: more than 4 KiB.
    pub large: bool,
    /// R.
    pub read: bool,
    /// W.
    pub write: bool,
    /// X.
    pub execute: bool,
    /// U: untranslated access only.
    pub untranslated: bool,
    /// N.
    pub no_snoop: bool,
    /// Global.
    pub global: bool,
    /// Priv.
    pub privileged: bool,
    /// CXL.io.
    pub cxl_io: bool,
    /// AMA, 3 bits.
    pub ama: u8,
}

impl AtsRange {
    /// The beat, least significant word first.
    #[must_use]
    pub fn pack(&self) -> [u32; 3] {
        Packer::default()
            .put(self.ama, 3)
            .put(self.cxl_io, 1)
            .put(self.privileged, 1)
            .put(self.global, 1)
            .put(self.no_snoop, 1)
            .put(self.untranslated, 1)
            .put(self.execute, 1)
            .put(self.write, 1)
            .put(self.read, 1)
            .put(self.large, 1)
            .put(self.addr >> 12, 52)
            .put(self.last, 1)
            .put(self.status, 3)
            .put(self.tag, 10)
            .words()
    }

    /// The range that a beat carries.
    #[must_use]
    pub fn unpack(words: &[u32; 3]) -> Self {
        let mut u = Unpacker::new(words);
        Self {
            ama: u.take(3) as u8,
            cxl_io: u.flag(),
            privileged: u.flag(),
            global: u.flag(),
            no_snoop: u.flag(),
            untranslated: u.flag(),
            execute: u.flag(),
            write: u.flag(),
            read: u.flag(),
            large: u.flag(),
            addr: u.take(52) << 12,
            last: u.flag(),
            status: u.take(3) as u8,
            tag: u.take(10) as u16,
        }
    }

    /// log2 of the bytes of the range: with S, one more than the lowest zero bit of the address
    /// from bit 12 on says.
    #[must_use]
    pub fn range_log2(&self) -> u8 {
        if self.large {
            13 + (self.addr >> 12).trailing_ones() as u8
        } else {
            12
        }
    }

    /// Where the range begins.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.addr
            .checked_shr(self.range_log2().into())
            .map_or(0, |a| a << self.range_log2())
    }
}

/// An ATS invalidation request (`m_ats_inv`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AtsInvalidation {
    /// ITag, 5 bits.
    pub itag: u8,
    /// {DSEG, RID}.
    pub device_id: u32,
    /// DSEG is valid.
    pub segment_valid: bool,
    /// process_id, when valid.
    pub process_id: Option<u32>,
    /// Body.
    pub payload: u64,
}

impl AtsInvalidation {
    /// The beat, least significant word first.
    #[must_use]
    pub fn pack(&self) -> [u32; 4] {
        Packer::default()
            .put(self.payload, 64)
            .put(self.process_id.unwrap_or(0), 20)
            .put(self.process_id.is_some(), 1)
            .put(self.segment_valid, 1)
            .put(self.device_id, 24)
            .put(self.itag, 5)
            .words()
    }

    /// The message that a beat carries.
    #[must_use]
    pub fn unpack(words: &[u32; 4]) -> Self {
        let mut u = Unpacker::new(words);
        Self {
            payload: u.take(64),
            process_id: u.option(20),
            segment_valid: u.flag(),
            device_id: u.take(24) as u32,
            itag: u.take(5) as u8,
        }
    }
}

/// An ATS invalidation completion (`s_ats_ic`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AtsInvalidationDone {
    /// Sender.
    pub device_id: u32,
    /// One bit an ITag.
    pub itags: u32,
    /// Completions that make up one answer, 0 stands for 8.
    pub count: u8,
}

impl AtsInvalidationDone {
    /// The beat.
    #[must_use]
    pub fn pack(&self) -> u64 {
        Packer::default()
            .put(self.count, 3)
            .put(self.itags, 32)
            .put(self.device_id, 24)
            .word()
    }

    /// The message that a beat carries.
    #[must_use]
    pub fn unpack(word: u64) -> Self {
        let words = halves(word);
        let mut u = Unpacker::new(&words);
        Self {
            count: u.take(3) as u8,
            itags: u.take(32) as u32,
            device_id: u.take(24) as u32,
        }
    }
}

/// A page request or a stop marker (`s_ats_pr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AtsPageRequest {
    /// Sender.
    pub device_id: u32,
    /// process_id, when valid.
    pub process_id: Option<u32>,
    /// Privileged mode requested.
    pub privileged: bool,
    /// Execute requested.
    pub execute: bool,
    /// {address\[63:12\], PRGI\[8:0\], L, W, R}.
    pub payload: u64,
}

impl AtsPageRequest {
    /// The beat, least significant word first.
    #[must_use]
    pub fn pack(&self) -> [u32; 4] {
        Packer::default()
            .put(self.payload, 64)
            .put(self.execute, 1)
            .put(self.privileged, 1)
            .put(self.process_id.unwrap_or(0), 20)
            .put(self.process_id.is_some(), 1)
            .put(self.device_id, 24)
            .words()
    }

    /// The message that a beat carries.
    #[must_use]
    pub fn unpack(words: &[u32; 4]) -> Self {
        let mut u = Unpacker::new(words);
        Self {
            payload: u.take(64),
            execute: u.flag(),
            privileged: u.flag(),
            process_id: u.option(20),
            device_id: u.take(24) as u32,
        }
    }
}

/// A page request group response (`m_ats_prgr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AtsPageResponse {
    /// {DSEG, RID}.
    pub device_id: u32,
    /// DSEG is valid.
    pub segment_valid: bool,
    /// process_id, when valid.
    pub process_id: Option<u32>,
    /// Page request group index, 9 bits.
    pub group: u16,
    /// Response code, 4 bits.
    pub code: u8,
}

impl AtsPageResponse {
    /// The beat.
    #[must_use]
    pub fn pack(&self) -> u64 {
        Packer::default()
            .put(self.code, 4)
            .put(self.group, 9)
            .put(self.process_id.unwrap_or(0), 20)
            .put(self.process_id.is_some(), 1)
            .put(self.segment_valid, 1)
            .put(self.device_id, 24)
            .word()
    }

    /// The message that a beat carries.
    #[must_use]
    pub fn unpack(word: u64) -> Self {
        let words = halves(word);
        let mut u = Unpacker::new(&words);
        Self {
            code: u.take(4) as u8,
            group: u.take(9) as u16,
            process_id: u.option(20),
            segment_valid: u.flag(),
            device_id: u.take(24) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits that are set, least significant first.
    fn bits(words: &[u32]) -> Vec<usize> {
        (0..32 * words.len())
            .filter(|n| words[n / 32] >> (n % 32) & 1 != 0)
            .collect()
    }

    /// Places as docs/pins.md has them, and back.
    #[test]
    fn fields_stand_where_the_packed_structs_have_them() {
        let r = AtsRequest {
            tag: 0x201,
            device_id: 1 << 23 | 1,
            process_id: Some(1 << 19),
            addr: 1 << 63 | 1,
            length: 0x81,
            cxl: true,
            ..AtsRequest::default()
        };
        assert_eq!(bits(&r.pack()), [0, 1, 8, 9, 72, 95, 96, 97, 120, 121, 130]);
        assert_eq!(AtsRequest::unpack(&r.pack()), r);
        let flags = AtsRequest {
            privileged: true,
            execute: true,
            no_write: true,
            ..AtsRequest::default()
        };
        assert_eq!(bits(&flags.pack()), [73, 74, 75]);
        let c = AtsRange {
            tag: 0x201,
            status: 5,
            last: true,
            addr: 1 << 63 | 1 << 12,
            large: true,
            read: true,
            write: true,
            execute: true,
            untranslated: true,
            no_snoop: true,
            global: true,
            privileged: true,
            cxl_io: true,
            ama: 5,
        };
        let places = [
            0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 63, 64, 65, 67, 68, 77,
        ];
        assert_eq!(bits(&c.pack()), places);
        assert_eq!(AtsRange::unpack(&c.pack()), c);
        let i = AtsInvalidation {
            itag: 0x11,
            device_id: 1 << 23 | 1,
            segment_valid: true,
            process_id: Some(1 << 19 | 1),
            payload: 1 << 63 | 1,
        };
        assert_eq!(bits(&i.pack()), [0, 63, 64, 83, 84, 85, 86, 109, 110, 114]);
        assert_eq!(AtsInvalidation::unpack(&i.pack()), i);
        let d = AtsInvalidationDone {
            device_id: 1 << 23 | 1,
            itags: 1 << 31 | 1,
            count: 5,
        };
        assert_eq!(bits(&halves(d.pack())), [0, 2, 3, 34, 35, 58]);
        assert_eq!(AtsInvalidationDone::unpack(d.pack()), d);
        let p = AtsPageRequest {
            device_id: 1 << 23 | 1,
            process_id: Some(1 << 19 | 1),
            privileged: true,
            execute: true,
            payload: 1 << 63 | 1,
        };
        assert_eq!(bits(&p.pack()), [0, 63, 64, 65, 66, 85, 86, 87, 110]);
        assert_eq!(AtsPageRequest::unpack(&p.pack()), p);
        let g = AtsPageResponse {
            device_id: 1 << 23 | 1,
            segment_valid: true,
            process_id: Some(1 << 19 | 1),
            group: 0x101,
            code: 9,
        };
        assert_eq!(
            bits(&halves(g.pack())),
            [0, 3, 4, 12, 13, 32, 33, 34, 35, 58]
        );
        assert_eq!(AtsPageResponse::unpack(g.pack()), g);
    }

    #[test]
    fn ranges_tell_their_size_by_their_lowest_zero() {
        let range = |addr, large| AtsRange {
            addr,
            large,
            ..AtsRange::default()
        };
        assert_eq!(range(0x7000, false).range_log2(), 12);
        assert_eq!(range(0x8000, true).range_log2(), 13);
        // 2 MiB: bits 19:12 ones, bit 20 zero.
        let two = range(0x8_0000_0000 | 0xf_f000, true);
        assert_eq!((two.range_log2(), two.base()), (21, 0x8_0000_0000));
        assert_eq!(range(u64::MAX, true).base(), 0);
    }
}
