//! Axes, cover points and crosses: declarations and counters.

use std::fmt;
use std::marker::PhantomData;

use iommu_golden::Config;

/// Something that is observed in one of a few ways. [`crate::axis!`] makes one of an enum.
pub trait Axis: Copy + 'static {
    /// Name in reports.
    const NAME: &'static str;
    /// How many bins.
    const COUNT: usize;
    /// Its bin, below [`Axis::COUNT`].
    fn index(self) -> usize;
    /// The value of a bin.
    fn from_index(index: usize) -> Option<Self>;
    /// The bin's name.
    fn label(self) -> String;
}

impl Axis for bool {
    const NAME: &'static str = "flag";
    const COUNT: usize = 2;
    fn index(self) -> usize {
        usize::from(self)
    }
    fn from_index(index: usize) -> Option<Self> {
        match index {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    fn label(self) -> String {
        if self { "yes" } else { "no" }.to_owned()
    }
}

/// Declares an enum that is an [`Axis`]: `axis! { /// doc pub enum Name: "name" { Variant = "label", ... } }`.
#[macro_export]
macro_rules! axis {
    ($(#[$doc:meta])* $vis:vis enum $name:ident: $text:literal { $($(#[$vdoc:meta])* $variant:ident = $label:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)] // each variant is its label
        $vis enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// Every value, in order.
            #[allow(dead_code)]
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
        }

        impl $crate::Axis for $name {
            const NAME: &'static str = $text;
            const COUNT: usize = Self::ALL.len();
            #[inline]
            fn index(self) -> usize { self as usize }
            fn from_index(index: usize) -> Option<Self> { Self::ALL.get(index).copied() }
            fn label(self) -> String { match self { $(Self::$variant => $label),* }.to_owned() }
        }
    };
}

/// The bins of a cover: a tuple of axes.
pub trait Bins: Copy + 'static {
    /// How many bins.
    const COUNT: usize;
    /// The bin of a value.
    fn index(self) -> usize;
    /// The value of a bin.
    fn from_index(index: usize) -> Option<Self>;
    /// Names of the axes, the first one changing slowest.
    fn axes() -> Vec<&'static str>;
    /// Label of each bin of each axis.
    fn axis_labels() -> Vec<Vec<String>>;
}

fn labels<A: Axis>() -> Vec<String> {
    (0..A::COUNT)
        .map(|i| A::from_index(i).map_or_else(String::new, A::label))
        .collect()
}

macro_rules! bins {
    ($($axis:ident $value:ident),*) => {
        impl<$($axis: Axis),*> Bins for ($($axis,)*) {
            const COUNT: usize = 1 $(* $axis::COUNT)*;
            #[inline]
            fn index(self) -> usize {
                let ($($value,)*) = self;
                let mut index = 0;
                $(index = index * $axis::COUNT + $value.index();)*
                index
            }
            fn from_index(index: usize) -> Option<Self> {
                if index >= Self::COUNT {
                    return None;
                }
                let mut scale = Self::COUNT;
                Some(($({
                    scale /= $axis::COUNT;
                    $axis::from_index(index / scale % $axis::COUNT)?
                },)*))
            }
            fn axes() -> Vec<&'static str> { vec![$($axis::NAME),*] }
            fn axis_labels() -> Vec<Vec<String>> { vec![$(labels::<$axis>()),*] }
        }
    };
}

bins!(A a);
bins!(A a, B b);
bins!(A a, B b, C c);
bins!(A a, B b, C c, D d);
bins!(A a, B b, C c, D d, E e);
bins!(A a, B b, C c, D d, E e, F f);

/// Whether a bin has to be hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Goal {
    /// It has to be hit.
    Must,
    /// Good to know.
    Nice,
}

/// A rule that says why bins cannot be hit by anything legal.
#[derive(Debug, PartialEq, Eq)]
pub struct Impossible {
    /// Short name.
    pub name: &'static str,
    /// The sentence, or the construction, that makes it impossible.
    pub why: &'static str,
}

/// Why a bin is excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The device under test lacks this.
    Needs(&'static str),
    /// Nothing can hit it.
    Impossible(&'static Impossible),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Needs(what) => write!(f, "needs({what})"),
            Why::Impossible(rule) => f.write_str(rule.name),
        }
    }
}

/// What the device under test can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `capabilities` without any mask, and the choices of the implementation.
    pub config: Config,
    /// Atomic transactions of devices are translated.
    pub device_atomics: bool,
}

impl Target {
    /// With these capabilities; the choices of the repository's RTL.
    #[must_use]
    pub fn new(capabilities: u64) -> Self {
        Self {
            config: Config::new(capabilities.into()),
            device_atomics: false,
        }
    }

    /// Whether all of these bits of `capabilities` are set.
    #[must_use]
    pub fn has(&self, bits: u64) -> bool {
        self.config.capabilities.has(bits)
    }
}

/// `what` (bits of `capabilities`) is needed where `applies`.
#[must_use]
pub fn needs(target: &Target, what: &'static str, bits: u64, applies: bool) -> Option<Why> {
    (applies && !target.has(bits)).then_some(Why::Needs(what))
}

/// `rule` excludes where `applies`.
#[must_use]
pub fn when(rule: &'static Impossible, applies: bool) -> Option<Why> {
    applies.then_some(Why::Impossible(rule))
}

/// The first reason of several.
#[must_use]
pub fn first<const N: usize>(reasons: [Option<Why>; N]) -> Option<Why> {
    reasons.into_iter().flatten().next()
}

/// What a cover is.
pub struct Meta<B> {
    /// `group.name`.
    pub name: &'static str,
    /// What a hit means.
    pub doc: &'static [&'static str],
    /// Row of docs/vplan.md.
    pub row: &'static str,
    /// Whether its bins have to be hit.
    pub goal: Goal,
    /// Which bins cannot be hit, and why.
    pub except: fn(B, &Target) -> Option<Why>,
}

/// Counters of one cover point or cross.
#[derive(Clone)]
pub struct Counts<B: Bins> {
    meta: &'static Meta<B>,
    hits: Box<[u64]>,
    bins: PhantomData<B>,
}

impl<B: Bins> Counts<B> {
    /// Nothing hit.
    #[must_use]
    pub fn new(meta: &'static Meta<B>) -> Self {
        Self {
            meta,
            hits: vec![0; B::COUNT].into_boxed_slice(),
            bins: PhantomData,
        }
    }

    /// Counts a bin.
    #[inline]
    pub fn hit(&mut self, bin: B) {
        if let Some(n) = self.hits.get_mut(bin.index()) {
            *n += 1;
        }
    }

    /// How often a bin was hit.
    #[must_use]
    pub fn count(&self, bin: B) -> u64 {
        self.hits.get(bin.index()).copied().unwrap_or(0)
    }
}

impl<B: Bins> fmt::Debug for Counts<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hit = self.hits.iter().filter(|&&n| n > 0).count();
        write!(f, "{}: {hit} of {} bins", self.meta.name, B::COUNT)
    }
}

/// A cover point or cross, whatever its axes.
pub trait AnyCover {
    /// `group.name`.
    fn name(&self) -> &'static str;
    /// What a hit means.
    fn doc(&self) -> String;
    /// Row of docs/vplan.md.
    fn row(&self) -> &'static str;
    /// Whether its bins have to be hit.
    fn goal(&self) -> Goal;
    /// Names of the axes, the first one changing slowest.
    fn axes(&self) -> Vec<&'static str>;
    /// Label of each bin of each axis.
    fn axis_labels(&self) -> Vec<Vec<String>>;
    /// Hits of each bin.
    fn hits(&self) -> &[u64];
    /// Why a bin cannot be hit.
    fn excluded(&self, bin: usize, target: &Target) -> Option<Why>;

    /// How many bins.
    fn len(&self) -> usize {
        self.hits().len()
    }
    /// Whether there is no bin at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// A bin's name: the labels of its axes.
    fn label(&self, bin: usize) -> String {
        crate::database::bin_label(&self.axis_labels(), bin)
    }
}

impl<B: Bins> AnyCover for Counts<B> {
    fn name(&self) -> &'static str {
        self.meta.name
    }
    fn doc(&self) -> String {
        self.meta
            .doc
            .iter()
            .map(|l| l.trim())
            .collect::<Vec<_>>()
            .join(" ")
    }
    fn row(&self) -> &'static str {
        self.meta.row
    }
    fn goal(&self) -> Goal {
        self.meta.goal
    }
    fn axes(&self) -> Vec<&'static str> {
        B::axes()
    }
    fn axis_labels(&self) -> Vec<Vec<String>> {
        B::axis_labels()
    }
    fn hits(&self) -> &[u64] {
        &self.hits
    }
    fn excluded(&self, bin: usize, target: &Target) -> Option<Why> {
        (self.meta.except)(B::from_index(bin)?, target)
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! cover_goal {
    (must) => {
        $crate::Goal::Must
    };
    (nice) => {
        $crate::Goal::Nice
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! cover_except {
    () => {
        |_, _| None
    };
    ($except:expr) => {
        $except
    };
}

/// Declares a struct of counters: see the crate's documentation.
#[macro_export]
macro_rules! covers {
    ($(#[$sdoc:meta])* $vis:vis struct $group:ident: $text:literal {
        $($(#[doc = $doc:literal])* $goal:ident $row:literal $name:ident: [$($axis:ty),+ $(,)?] $(except $except:expr)?;)*
    }) => {
        $(#[$sdoc])*
        #[derive(Debug, Clone)]
        $vis struct $group {
            $($(#[doc = $doc])* pub $name: $crate::Counts<($($axis,)+)>,)*
        }

        impl Default for $group {
            fn default() -> Self {
                Self {
                    $($name: {
                        static META: $crate::Meta<($($axis,)+)> = $crate::Meta {
                            name: concat!($text, ".", stringify!($name)),
                            doc: &[$($doc),*],
                            row: $row,
                            goal: $crate::cover_goal!($goal),
                            except: $crate::cover_except!($($except)?),
                        };
                        $crate::Counts::new(&META)
                    },)*
                }
            }
        }

        impl $group {
            /// Every cover, in the order of declaration.
            #[must_use]
            pub fn covers(&self) -> Vec<&dyn $crate::AnyCover> {
                vec![$(&self.$name),*]
            }
        }
    };
}
