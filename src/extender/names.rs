//! From the names of nodes to their numbers, quickly: 5,000 names are looked up a request.
//!
//! A name is read and hashed in one pass, eight bytes at a time, and compared with one place in memory: all names
//! lie one after the other.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

/// A name that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// It.
    pub name: &'a str,
    hash: u64,
}

impl<'a> From<&'a str> for Asked<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, hash: hash(name.as_bytes()) }
    }
}

impl<'a> Asked<'a> {
    /// The JSON string whose opening quote is before `text`. `None`: something in it is escaped or not in names of
    /// nodes, or it does not end.
    #[inline]
    pub fn quoted(text: &'a str) -> Option<Self> {
        let (mut hash, mut at) = (0, 0);
        loop {
            let word = word(text.as_bytes().get(at..)?);
            let length = plain(word);
            if length == 8 {
                (hash, at) = (mix(hash, word), at + 8);
                continue;
            }
            let end = at + length;
            if text.as_bytes().get(end) != Some(&b'"') {
                return None;
            }
            return Some(Self {
                name: text.get(..end)?,
                hash: last(hash, word & !(u64::MAX << (8 * length)), end),
            });
        }
    }
}

/// Multiplies and folds eight bytes at a time. Names come from the cluster itself, so nobody gains by choosing
/// them to collide.
#[inline]
fn hash(name: &[u8]) -> u64 {
    let (words, rest) = name.as_chunks::<8>();
    let hash = words.iter().fold(0, |hash, bytes| mix(hash, u64::from_le_bytes(*bytes)));
    last(hash, word(rest), name.len())
}

const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline]
fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * u128::from(FACTOR);
    (product as u64) ^ ((product >> 64) as u64) ^ word.rotate_left(32)
}

/// What is left after the last whole word, and how long it all is.
#[inline]
fn last(hash: u64, rest: u64, length: usize) -> u64 {
    mix(hash, rest ^ length as u64)
}

/// The first eight bytes, or all there are and zeros.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    if let Some(word) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*word);
    }
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

const ONES: u64 = u64::MAX / 255;

/// How many bytes come before the first backslash or character below `-`: quotes and control characters are, no
/// character of a node's name is. Each test may also be true of bytes above the first of its kind, never below.
#[inline]
fn plain(word: u64) -> usize {
    let is_below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let special = is_below(word, b'-'.into()) | is_below(word ^ (ONES * u64::from(b'\\')), 1);
    (special & (ONES << 7)).trailing_zeros() as usize / 8
}

/// Numbers by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    by_hash: HashMap<u64, Place, BuildHasherDefault<IsHashed>>,
    /// Names whose hash another one has.
    others: BTreeMap<String, u32>,
    /// All names ever, one after the other.
    text: String,
    /// Bytes of `text` that are in use.
    used: usize,
}

/// Where in `Names::text` a name is.
#[derive(Clone, Copy, Debug)]
struct Place {
    number: u32,
    start: u32,
    length: u32,
}

impl Place {
    #[inline]
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }
}

/// Text of names that are gone is kept up to this.
const GONE: usize = 1 << 16;

impl Names {
    /// The number of a name.
    #[inline]
    pub(super) fn get(&self, asked: Asked<'_>) -> Option<u32> {
        match self.by_hash.get(&asked.hash) {
            Some(&place) if self.has_at(place, asked.name) => Some(place.number),
            _ => self.others.get(asked.name).copied(),
        }
    }

    #[inline]
    fn has_at(&self, place: Place, name: &str) -> bool {
        self.text.as_bytes().get(place.range()) == Some(name.as_bytes())
    }

    /// A name that is not there yet has this number.
    pub(super) fn insert(&mut self, name: &str, number: u32) {
        let Entry::Vacant(free) = self.by_hash.entry(Asked::from(name).hash) else {
            self.others.insert(name.to_owned(), number);
            return;
        };
        free.insert(Place { number, start: self.text.len() as u32, length: name.len() as u32 });
        self.text.push_str(name);
        self.used += name.len();
    }

    /// A name is gone; the number it had.
    pub(super) fn remove(&mut self, name: &str) -> Option<u32> {
        let hash = Asked::from(name).hash;
        let place = self.by_hash.get(&hash).copied().filter(|&place| self.has_at(place, name));
        let Some(place) = place else { return self.others.remove(name) };
        self.by_hash.remove(&hash);
        self.used -= name.len();
        if self.text.len() > 2 * self.used + GONE {
            self.pack();
        }
        Some(place.number)
    }

    /// Leaves out the text of names that are gone.
    fn pack(&mut self) {
        let mut text = String::with_capacity(self.used);
        for place in self.by_hash.values_mut() {
            let name = self.text.get(place.range()).unwrap_or_default();
            place.start = text.len() as u32;
            text.push_str(name);
        }
        self.text = text;
    }
}

/// Passes on what is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IsHashed(u64);

impl Hasher for IsHashed {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_that_differ_in_a_digit_spread() {
        let names = (0..10_000).map(|nth| format!("gpu-pool-a100-md-0-{nth:05}-x7k2p"));
        let hashes: Vec<u64> = names.map(|name| hash(name.as_bytes())).collect();
        let low: BTreeSet<u64> = hashes.iter().map(|hash| hash & 0xFFFF).collect();
        let high: BTreeSet<u64> = hashes.iter().map(|hash| hash >> 48).collect();
        // 10,000 random numbers below 65,536 take 9,274 different values on average.
        assert!(low.len() > 8_500 && high.len() > 8_500, "{} {}", low.len(), high.len());
        assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), 10_000);
    }

    #[test]
    fn names_with_one_hash_are_told_apart() {
        let mut names = Names::default();
        let alike = |name| Asked { name, hash: 7 };
        names.by_hash.insert(7, Place { number: 1, start: 0, length: 1 });
        names.text.push('a');
        names.others.insert("b".to_owned(), 2);
        assert_eq!([names.get(alike("a")), names.get(alike("b"))], [Some(1), Some(2)]);
        assert_eq!(names.get(alike("c")), None);
    }

    proptest! {
        /// Against a map: names come and go, some of them often.
        #[test]
        fn names_are_found_as_in_a_map(
            steps in prop::collection::vec((any::<bool>(), "[a-c]{0,2}", 0..3_usize), 1..200),
        ) {
            let (mut names, mut model) = (Names::default(), BTreeMap::new());
            for (number, (is_new, name, repeats)) in steps.iter().enumerate() {
                // Long enough that the text is packed now and then.
                let name = name.repeat(1 + repeats * 2_000);
                if *is_new && !model.contains_key(&name) {
                    names.insert(&name, number as u32);
                    model.insert(name, number as u32);
                } else {
                    prop_assert_eq!(names.remove(&name), model.remove(&name));
                }
                for (name, number) in &model {
                    prop_assert_eq!(names.get(name.as_str().into()), Some(*number));
                }
            }
            prop_assert_eq!(names.by_hash.len() + names.others.len(), model.len());
        }

        /// What is read in place is what a JSON reader reads, or is left to it.
        #[test]
        fn quoted_names_are_read_as_json(text in "([a-z0-9.-]|[\"\\\\ \u{1}\u{e9}]{0,1}){0,40}\".{0,3}") {
            let whole = format!("\"{text}");
            let read = serde_json::Deserializer::from_str(&whole).into_iter::<String>().next();
            if let Some(asked) = Asked::quoted(&text) {
                prop_assert_eq!(asked.name, read.unwrap().unwrap());
                prop_assert_eq!(asked.hash, hash(asked.name.as_bytes()));
            } else {
                let is_name = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric());
                prop_assert!(!read.is_some_and(|read| read.is_ok_and(|name| is_name(&name))));
            }
        }
    }
}
