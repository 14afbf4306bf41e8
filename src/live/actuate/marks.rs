//! Annotations: ours (`prewarm.dev/...`), cluster-autoscaler's and Cluster API's; how ours are read and written.

use crate::{
    model::object::Strings,
    time::{Millis, Timestamp},
};

/// cluster-autoscaler does not remove a Node with `"true"`.
pub const SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
/// cluster-autoscaler does not see a pod younger than this Go duration.
pub const POD_DELAY: &str = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay";

/// On a Node: our hold ends then (RFC 3339). Without it a hold is somebody else's.
pub const HOLD_UNTIL: &str = "prewarm.dev/hold-until";
/// On a Node: the decision that held it; stays when the hold is released, so that it is held once.
pub const HOLD_DECISION: &str = "prewarm.dev/hold-decision";
/// On a MachineDeployment: nodes that are to be held as they register, see [`Pending`].
pub const PENDING_HOLDS: &str = "prewarm.dev/pending-holds";
/// On a MachineDeployment: the min-size we wrote.
pub const FLOOR: &str = "prewarm.dev/floor";
/// On a MachineDeployment: the min-size that was there before; empty = none.
pub const USER_MIN: &str = "prewarm.dev/user-min-size";
/// On a MachineDeployment: when the floor was last raised.
pub const FLOOR_SINCE: &str = "prewarm.dev/floor-since";
/// On a MachineDeployment: when the floor ends.
pub const FLOOR_UNTIL: &str = "prewarm.dev/floor-until";
/// On a Pod: the decision that wrote [`POD_DELAY`].
pub const OUR_DELAY: &str = "prewarm.dev/scale-up-delay";
/// On a Node: the decision that cordoned it.
pub const CORDONED: &str = "prewarm.dev/cordoned";
/// On a Node: when it was last touched so that kube-scheduler asks again. It means nothing.
pub const NUDGED_AT: &str = "prewarm.dev/nudged-at";
/// On a Machine: the decision that marked it for deletion.
pub const MARKED: &str = "prewarm.dev/delete-machine";

/// cluster-autoscaler's minimum of a node group.
pub fn min_size(group: &str) -> String {
    format!("{group}/cluster-api-autoscaler-node-group-min-size")
}

/// cluster-autoscaler's maximum of a node group.
pub fn max_size(group: &str) -> String {
    format!("{group}/cluster-api-autoscaler-node-group-max-size")
}

/// Cluster API deletes a Machine with this one first when replicas go down.
pub fn delete_machine(group: &str) -> String {
    format!("{group}/delete-machine")
}

/// RFC 3339, in UTC. Instants that no calendar has become the epoch: over, if it is an end.
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// See [`rfc3339`].
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_millisecond()))
}

/// A span as a Go duration, rounded up to seconds.
pub fn go_duration(span: Millis) -> String {
    format!("{}s", span.0.max(0).unsigned_abs().div_ceil(1000))
}

/// Reads the Go durations that [`go_duration`] writes, and whole `h`, `m`, `s`, `ms` of others.
pub fn parse_go_duration(text: &str) -> Option<Millis> {
    let (mut rest, mut total) = (text, Millis::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map(|at| at + digits);
        let unit = match &rest[digits..unit_end.unwrap_or(rest.len())] {
            "h" => Millis::from_hours(1),
            "m" => Millis::from_mins(1),
            "s" => Millis::from_secs(1),
            "ms" => Millis(1),
            _ => return None,
        };
        total = total + unit * count;
        rest = unit_end.map_or("", |end| &rest[end..]);
    }
    (!text.is_empty()).then_some(total)
}

/// Nodes of one raise that are to be held as they register.
///
/// How many are held already is not written down but counted: the nodes whose [`HOLD_DECISION`] is
/// `decision`. So nothing has to be counted down, and no write can be lost between two others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Which decision.
    pub decision: String,
    /// How many nodes.
    pub count: u32,
    /// When the newest Machine was made that was there before, by the API server's clock: only nodes whose
    /// Machine is newer are meant.
    pub since: Timestamp,
    /// Nothing is held after that.
    pub until: Timestamp,
}

impl Pending {
    /// Reads the annotation; what cannot be read is left out.
    pub fn read(annotations: &Strings) -> Vec<Self> {
        let text = annotations.get(PENDING_HOLDS).map_or("", String::as_str);
        text.split_whitespace().filter_map(Self::read_one).collect()
    }

    fn read_one(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let pending = Self {
            decision: parts.next()?.to_owned(),
            count: parts.next()?.parse().ok()?,
            since: parse_rfc3339(parts.next()?)?,
            until: parse_rfc3339(parts.next()?)?,
        };
        parts.next().is_none().then_some(pending)
    }

    /// The annotation's value: `17-ab/3/<since>/<until>`, one after the other; `None` = none.
    pub fn write(all: &[Self]) -> Option<String> {
        let one = |p: &Self| {
            format!("{}/{}/{}/{}", p.decision, p.count, rfc3339(p.since), rfc3339(p.until))
        };
        let all: Vec<String> = all.iter().map(one).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }
}

/// A floor of ours on a MachineDeployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloorMark {
    /// The min-size we wrote; `None` = cannot be read.
    pub floor: Option<u32>,
    /// What was there before; `None` = no annotation.
    pub user_min: Option<u32>,
    /// When it was last raised.
    pub since: Timestamp,
    /// When it ends. What cannot be read is over.
    pub until: Timestamp,
}

impl FloorMark {
    /// Reads it; `None` = there is none.
    pub fn read(annotations: &Strings) -> Option<Self> {
        let keys = [FLOOR, USER_MIN, FLOOR_SINCE, FLOOR_UNTIL];
        if !keys.iter().any(|key| annotations.contains_key(*key)) {
            return None;
        }
        let instant = |key| annotations.get(key).and_then(|text: &String| parse_rfc3339(text));
        let number = |key| annotations.get(key).and_then(|text: &String| text.parse().ok());
        Some(Self {
            floor: number(FLOOR),
            user_min: number(USER_MIN),
            since: instant(FLOOR_SINCE).unwrap_or(Timestamp::ZERO),
            until: instant(FLOOR_UNTIL).unwrap_or(Timestamp::ZERO),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_round_up_and_come_back() {
        assert_eq!(go_duration(Millis(1)), "1s");
        assert_eq!(go_duration(Millis(754_000)), "754s");
        assert_eq!(parse_go_duration("754s"), Some(Millis(754_000)));
        assert_eq!(parse_go_duration("1h2m3s4ms"), Some(Millis(3_723_004)));
        for bad in ["", "5", "s", "5x", "-5s", "1.5h"] {
            assert_eq!(parse_go_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn pending_holds_come_back_as_written_and_garbage_is_left_out() {
        let pending = Pending {
            decision: "17-ab12".to_owned(),
            count: 3,
            since: Timestamp::from_secs(1_795_246_618),
            until: Timestamp::from_secs(1_795_248_418),
        };
        let text = Pending::write(&[pending.clone(), pending.clone()]).unwrap();
        assert!(text.starts_with("17-ab12/3/2026-"), "{text}");
        let read = |text: &str| {
            Pending::read(&Strings::from([(PENDING_HOLDS.to_owned(), text.to_owned())]))
        };
        assert_eq!(read(&text), [pending.clone(), pending.clone()]);
        assert_eq!(read(&format!("x/y {text} 1/2/3/4")), [pending.clone(), pending]);
        assert_eq!(Pending::write(&[]), None);
    }

    #[test]
    fn a_floor_that_cannot_be_read_is_over() {
        let damaged = Strings::from([(FLOOR_UNTIL.to_owned(), "soon".to_owned())]);
        let mark = FloorMark::read(&damaged).unwrap();
        assert_eq!((mark.floor, mark.until), (None, Timestamp::ZERO));
        assert_eq!(FloorMark::read(&Strings::new()), None);
    }
}
