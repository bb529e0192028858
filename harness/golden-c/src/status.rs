//! Status codes, and what keeps the boundary safe: pointers, panics, texts.

use std::cell::RefCell;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Version of this interface. It changes when a structure other than `IommuConfig` or the meaning of
/// a function does; `iommu_abi_version` has the library's.
pub const IOMMU_ABI_VERSION: u32 = 1;

/// Bytes of the texts in structures, the final 0 included.
pub const IOMMU_TEXT_SIZE: usize = 160;

/// What a function returns.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuStatus {
    /// Done; results are written.
    Ok = 0,
    /// A pointer is null that must not be.
    Null = 1,
    /// A pointer is not aligned for its type.
    Alignment = 2,
    /// A structure's `size` is none that this library knows.
    Size = 3,
    /// A number is outside its range, or a flag is neither 0 nor 1.
    Range = 4,
    /// An enumeration has no such value.
    Value = 5,
    /// No IOMMU can have this configuration.
    Config = 6,
    /// Register access not aligned to its size: UNSPECIFIED by the specification.
    RegMisaligned = 7,
    /// 8-byte register access that spans two registers: UNSPECIFIED by the specification.
    RegSpans = 8,
    /// Register offset outside the 4-KiB page.
    RegOutside = 9,
    /// The memory has callbacks, and the function is for the library's own memory.
    NotSparse = 10,
    /// The call does not fit the state: no message of that vector is owed, and the like.
    State = 11,
    /// The object is in use: a call from its own callback, or from another thread.
    Busy = 12,
    /// A mistake of this library; the object can only be destroyed.
    Panic = 13,
}

pub(crate) struct Error(pub IommuStatus, pub String);

pub(crate) type Result<T> = std::result::Result<T, Error>;

pub(crate) fn error<T>(status: IommuStatus, text: impl Into<String>) -> Result<T> {
    Err(Error(status, text.into()))
}

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

fn set_last(text: String) {
    // Fails only while the thread ends or inside itself: then there is no text.
    let _ = LAST.try_with(|l| l.try_borrow_mut().map(|mut l| *l = text));
}

/// Runs the body of a function of the interface: nothing unwinds, failures leave their text.
pub(crate) fn guard(body: impl FnOnce() -> Result<()>) -> IommuStatus {
    // What a panic leaves half changed stays locked away: a mutex is poisoned by it.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => IommuStatus::Ok,
        Ok(Err(Error(status, text))) => {
            set_last(text);
            status
        }
        Err(_) => {
            set_last("a panic in the library: please report it".into());
            IommuStatus::Panic
        }
    }
}

fn check<T>(p: *const T, name: &str) -> Result<()> {
    if p.is_null() {
        error(IommuStatus::Null, format!("`{name}` is null"))
    } else if !p.is_aligned() {
        error(
            IommuStatus::Alignment,
            format!("`{name}` is not a multiple of {}", align_of::<T>()),
        )
    } else {
        Ok(())
    }
}

/// The object behind a pointer that this library gave out.
///
/// # Safety
/// `p` is null or points to a live `T` that nobody changes except through `&T` during `'a`.
pub(crate) unsafe fn object<'a, T>(p: *const T, name: &str) -> Result<&'a T> {
    check(p, name)?;
    // SAFETY: neither null nor misaligned; the rest is this function's contract.
    Ok(unsafe { &*p })
}

/// A copy of a structure of the caller's.
///
/// # Safety
/// `p` is null or readable as a `T`.
pub(crate) unsafe fn input<T: Copy>(p: *const T, name: &str) -> Result<T> {
    check(p, name)?;
    // SAFETY: neither null nor misaligned; the rest is this function's contract.
    Ok(unsafe { p.read() })
}

/// Where a result goes.
pub(crate) struct Output<T>(*mut T, usize);

/// Room for one result.
///
/// # Safety
/// `p` is null or writable as a `T` until the result is dropped.
pub(crate) unsafe fn output<T>(p: *mut T, name: &str) -> Result<Output<T>> {
    check(p, name)?;
    Ok(Output(p, 1))
}

/// Room for a result that the caller may not want (null).
///
/// # Safety
/// As [`output`].
pub(crate) unsafe fn optional<T>(p: *mut T, name: &str) -> Result<Output<T>> {
    if p.is_null() {
        return Ok(Output(p, 0));
    }
    // SAFETY: the same contract.
    unsafe { output(p, name) }
}

/// Room for `n` results; null is fine for 0.
///
/// # Safety
/// `p` is null or writable as `n` of `T` until the result is dropped.
pub(crate) unsafe fn outputs<T>(p: *mut T, n: usize, name: &str) -> Result<Output<T>> {
    if n > 0 {
        check(p, name)?;
        if n.checked_mul(size_of::<T>())
            .is_none_or(|bytes| bytes > isize::MAX as usize)
        {
            return error(IommuStatus::Range, format!("no `{name}` has {n} elements"));
        }
    }
    Ok(Output(p, n))
}

impl<T> Output<T> {
    /// Writes the first result, if it is wanted.
    pub(crate) fn put(&self, value: T) {
        self.put_at(0, value);
    }

    /// Writes result `n`, if there is room for it.
    pub(crate) fn put_at(&self, n: usize, value: T) {
        if n < self.1 {
            // SAFETY: whoever made this promised room for `self.1` of `T`.
            unsafe { self.0.add(n).write(value) }
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.1
    }
}

/// A flag that came in.
pub(crate) fn flag(v: u8, name: &str) -> Result<bool> {
    match v {
        0 => Ok(false),
        1 => Ok(true),
        _ => error(IommuStatus::Range, format!("`{name}` is {v}, not 0 or 1")),
    }
}

/// A number of at most `bits` bits.
pub(crate) fn bits(v: u32, bits: u32, name: &str) -> Result<u32> {
    if bits < 32 && v >> bits != 0 {
        return error(
            IommuStatus::Range,
            format!("`{name}` is {v:#x}, wider than {bits} bits"),
        );
    }
    Ok(v)
}

pub(crate) fn no_value<T>(v: u32, name: &str) -> Result<T> {
    error(IommuStatus::Value, format!("`{name}` has no value {v}"))
}

/// A text in a structure: cut to its size, ending in 0.
pub(crate) fn text(s: &str) -> [c_char; IOMMU_TEXT_SIZE] {
    let mut t = [0; IOMMU_TEXT_SIZE];
    let cut = (0..IOMMU_TEXT_SIZE)
        .rev()
        .find(|n| s.is_char_boundary(*n))
        .unwrap_or(0)
        .min(s.len());
    for (slot, b) in t.iter_mut().zip(&s.as_bytes()[..cut]) {
        *slot = *b as c_char;
    }
    t
}

/// Version of the interface that this library has: compare with `IOMMU_ABI_VERSION` of the header.
#[unsafe(no_mangle)]
pub extern "C" fn iommu_abi_version() -> u32 {
    IOMMU_ABI_VERSION
}

/// Copies the reason of the last failure in this thread to `buffer` (`capacity` bytes), cut if it
/// is longer and always ended by 0. `buffer` may be null if `capacity` is 0. Returns the bytes that
/// the whole text needs, the final 0 included; 1 if nothing failed yet.
///
/// # Safety
/// `buffer` is null or `capacity` bytes can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_last_error(buffer: *mut c_char, capacity: usize) -> usize {
    let mut needed = 1;
    // Not guard(): this must not replace the text by one of its own.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let text = LAST.try_with(|l| l.borrow().clone()).unwrap_or_default();
        needed = text.len() + 1;
        if buffer.is_null() || capacity == 0 {
            return;
        }
        let n = text.len().min(capacity - 1);
        // SAFETY: n + 1 bytes are at most `capacity`, which the caller promised; the text is ours.
        unsafe {
            buffer.copy_from_nonoverlapping(text.as_ptr().cast(), n);
            buffer.add(n).write(0);
        }
    }));
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters_and_end() {
        let long = "é".repeat(200);
        let t = text(&long);
        let used = t.iter().position(|c| *c == 0).expect("a final 0");
        assert_eq!(used, 158); // 159 would cut an é in two
        assert_eq!(text("")[0], 0);
        assert_eq!(text("ab")[..3], [b'a' as c_char, b'b' as c_char, 0]);
    }

    #[test]
    fn a_panic_is_a_status() {
        assert_eq!(guard(|| panic!("on purpose")), IommuStatus::Panic);
        let mut b = [1 as c_char; 8];
        // SAFETY: eight bytes.
        let needed = unsafe { iommu_last_error(b.as_mut_ptr(), b.len()) };
        assert!(needed > 8 && b[7] == 0 && b[0] == b'a' as c_char);
    }
}
