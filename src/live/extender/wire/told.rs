//! Answers as kube-scheduler reads them, written by hand: an answer may name 5,000 nodes. What is told as it was sent
//! is not copied: 5,000 nodes in full are 70 MB.

use super::{HasUid, Sent, Victims};
use crate::extender::{Asked, Filtered, Rejection};
use std::{collections::BTreeMap, ops::Range};

/// The body of an answer.
#[derive(Debug, Default)]
pub struct Told {
    pieces: Vec<Piece>,
}

/// A part of it.
#[derive(Debug)]
pub enum Piece {
    /// These bytes.
    Own(Vec<u8>),
    /// This part of the request's body.
    Sent(Range<usize>),
}

impl From<Vec<u8>> for Told {
    fn from(json: Vec<u8>) -> Self {
        Self { pieces: vec![Piece::Own(json)] }
    }
}

impl Told {
    /// Its parts, in order.
    pub fn into_pieces(self) -> Vec<Piece> {
        self.pieces
    }

    /// All of it. `body`: of the request.
    pub fn joined(mut self, body: &[u8]) -> Vec<u8> {
        if let [Piece::Own(json)] = &mut self.pieces[..] {
            return std::mem::take(json);
        }
        let mut json = Vec::new();
        for piece in &self.pieces {
            json.extend_from_slice(match piece {
                Piece::Own(own) => own,
                Piece::Sent(range) => body.get(range.clone()).unwrap_or_default(),
            });
        }
        json
    }

    fn own(&mut self, json: impl Into<Vec<u8>>) {
        self.pieces.push(Piece::Own(json.into()));
    }

    /// An item of a list that was sent; with what was sent just before it, it is one part.
    fn item(&mut self, body: &[u8], item: Range<usize>) {
        match self.pieces.last_mut() {
            Some(Piece::Sent(last)) if last.end + 1 == item.start && body[last.end] == b',' => {
                last.end = item.end;
                return;
            }
            Some(Piece::Sent(_)) => self.own(*b","),
            _ => {}
        }
        self.pieces.push(Piece::Sent(item));
    }
}

/// Where in the body the text from the start of `first` to the end of `last` is. `None`: they are not in it, something
/// was escaped.
fn place(body: &[u8], first: &str, last: &str) -> Option<Range<usize>> {
    let start = |text: &str| text.as_ptr().addr().checked_sub(body.as_ptr().addr());
    let range = start(first)?..start(last)?.checked_add(last.len())?;
    body.get(range.clone()).map(|_| range)
}

/// The list of names as it was sent, without its brackets.
pub fn as_sent(body: &[u8], names: &[Asked<'_>]) -> Option<Range<usize>> {
    let names = place(body, names.first()?.name, names.last()?.name)?;
    // With the quotes around them.
    let list = names.start.checked_sub(1)?..names.end + 1;
    body.get(list.clone()).map(|_| list)
}

/// Writes a JSON string.
pub type Quote = fn(&mut Vec<u8>, &str);

/// `ExtenderFilterResult` with names. `as_sent`: see [`as_sent`], if all names asked about pass, each once.
pub fn filter_names(filtered: &Filtered<'_>, as_sent: Option<Range<usize>>, quote: Quote) -> Told {
    let size = if as_sent.is_some() { 0 } else { 48 * filtered.passed.len() };
    let mut json = Vec::with_capacity(160 + size + 96 * filtered.rejected.len());
    json.extend_from_slice(b"{\"Nodes\":null,\"NodeNames\":");
    let mut told = Told::default();
    if let Some(names) = as_sent {
        json.push(b'[');
        told.own(std::mem::take(&mut json));
        told.pieces.push(Piece::Sent(names));
        json.push(b']');
    } else {
        list(&mut json, filtered.passed.iter(), |json, name| quote(json, name));
    }
    failed(&mut json, filtered, quote);
    told.own(json);
    told
}

/// `ExtenderFilterResult` with nodes as they came in `body`. Of nodes with one name the last is meant.
pub fn filter_nodes(filtered: &Filtered<'_>, body: &[u8], nodes: &[Sent<'_>]) -> Told {
    let by_name: BTreeMap<&str, &str> =
        nodes.iter().map(|sent| (sent.node.meta.name.as_str(), sent.json)).collect();
    let mut told = Told::from(b"{\"Nodes\":{\"metadata\":{},\"items\":[".to_vec());
    for name in &filtered.passed {
        let json = by_name.get(name);
        if let Some(range) = json.and_then(|json| place(body, json, json)) {
            told.item(body, range);
        }
    }
    let mut json = b"]},\"NodeNames\":null".to_vec();
    failed(&mut json, filtered, text);
    told.own(json);
    told
}

fn failed(json: &mut Vec<u8>, filtered: &Filtered<'_>, quote: Quote) {
    for (key, class) in [
        (&b",\"FailedNodes\":{"[..], Rejection::Resolvable),
        (b",\"FailedAndUnresolvableNodes\":{", Rejection::Unresolvable),
    ] {
        json.extend_from_slice(key);
        let mut separator = &b""[..];
        for (name, _, reason) in filtered.rejected.iter().filter(|(_, one, _)| *one == class) {
            json.extend_from_slice(separator);
            quote(json, name);
            json.push(b':');
            text(json, reason);
            separator = b",";
        }
        json.push(b'}');
    }
    json.extend_from_slice(b",\"Error\":\"\"}");
}

/// Scores with the end of their entry.
const DIGITS: [&[u8]; 11] =
    [b"0}", b"1}", b"2}", b"3}", b"4}", b"5}", b"6}", b"7}", b"8}", b"9}", b"10}"];

/// `HostPriorityList`.
pub fn priorities(scores: &[(&str, u8)], quote: Quote) -> Vec<u8> {
    let mut json = Vec::with_capacity(2 + 72 * scores.len());
    list(&mut json, scores.iter(), |json, (name, score)| {
        json.extend_from_slice(b"{\"Host\":");
        quote(json, name);
        json.extend_from_slice(b",\"Score\":");
        json.extend_from_slice(DIGITS[usize::from(*score).min(DIGITS.len() - 1)]);
    });
    json
}

/// `ExtenderPreemptionResult`, always by uid.
pub fn preemption<P: HasUid>(kept: &[(&str, &Victims<P>)]) -> Vec<u8> {
    let mut json = b"{\"NodeNameToMetaVictims\":{".to_vec();
    let mut separator = &b""[..];
    for (name, victims) in kept {
        json.extend_from_slice(separator);
        text(&mut json, name);
        json.extend_from_slice(b":{\"Pods\":");
        list(&mut json, victims.pods.iter().flatten(), |json, pod| {
            json.extend_from_slice(b"{\"UID\":");
            text(json, pod.uid());
            json.push(b'}');
        });
        json.extend_from_slice(b",\"NumPDBViolations\":");
        json.extend_from_slice(victims.violations.to_string().as_bytes());
        json.push(b'}');
        separator = b",";
    }
    json.extend_from_slice(b"}}");
    json
}

fn list<T>(json: &mut Vec<u8>, items: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    json.push(b'[');
    for (nth, item) in items.enumerate() {
        if nth > 0 {
            json.push(b',');
        }
        write(json, item);
    }
    json.push(b']');
}

/// Nothing in it needs an escape. Looks at all bytes, which is many at once, and not one by one up to the first.
fn is_plain(text: &str) -> bool {
    let is_bad =
        |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    text.bytes().fold(0, |bad, byte| bad | is_bad(byte)) == 0
}

/// A JSON string of text in which nothing needs an escape.
pub fn plain(json: &mut Vec<u8>, text: &str) {
    json.reserve(text.len() + 2);
    json.push(b'"');
    json.extend_from_slice(text.as_bytes());
    json.push(b'"');
}

/// A JSON string.
pub fn text(json: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        plain(json, text);
    } else {
        // Writing to memory does not fail.
        serde_json::to_writer(json, text).ok();
    }
}
