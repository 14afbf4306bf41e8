//! Who may act, as a pure state machine over what the Lease says.
//!
//! The rule is client-go's (`tools/leaderelection`): somebody else's lease has expired when *our own* monotonic
//! clock has run for the lease duration since we last saw its record change. Wall clocks are written for
//! people and never compared, so they may jump as they like.
//!
//! Why there are never two actors: a leader acts for `give_up` after it *sent* its last successful renewal; a
//! follower sees that renewal later than it was sent and then waits for `duration`, which is longer.

use crate::time::Millis;

/// The terms of the lease. All replicas must have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// A record that has not changed for so long is nobody's any more.
    pub duration: Millis,
    /// The leader renews so often.
    pub renew: Millis,
    /// A leader acts no longer than this after it sent its last successful renewal; below `duration`.
    pub give_up: Millis,
    /// Followers look so often.
    pub poll: Millis,
    /// After a failed request the next one comes so much later.
    pub retry: Millis,
}

impl Default for Terms {
    /// A takeover takes at most `poll + duration` = 14 s and two requests.
    fn default() -> Self {
        Self {
            duration: Millis::from_secs(12),
            renew: Millis::from_secs(3),
            give_up: Millis::from_secs(8),
            poll: Millis::from_secs(2),
            retry: Millis(500),
        }
    }
}

/// A Lease as the API server shows it. Instants are microseconds since the epoch by the writer's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `metadata.resourceVersion`; a write must name it.
    pub version: String,
    /// `spec.holderIdentity`; empty = released.
    pub holder: String,
    /// `spec.acquireTime`.
    pub acquired: Option<i64>,
    /// `spec.renewTime`.
    pub renewed: Option<i64>,
    /// `spec.leaseTransitions`.
    pub transitions: i32,
}

impl Record {
    /// The holder has renewed, or there is another one. Labels and the like do not count.
    fn differs_from(&self, other: &Self) -> bool {
        (&self.holder, self.renewed, self.transitions)
            != (&other.holder, other.renewed, other.transitions)
    }
}

/// What to write to the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Replace this version; `None` = create the Lease.
    pub version: Option<String>,
    /// Keep this `acquireTime`; `None` = it begins now.
    pub acquired: Option<i64>,
    /// `leaseTransitions` to write.
    pub transitions: i32,
}

/// What a candidate does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read the Lease.
    Read,
    /// Write it.
    Write(Claim),
    /// Nothing for so long.
    Wait(Millis),
}

/// One replica's view of the election. `now` is its own monotonic clock, any zero.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: String,
    terms: Terms,
    /// The Lease as last seen; `None` = there is none, or it has not been read.
    seen: Option<Record>,
    /// When it was first seen like this.
    seen_since: Millis,
    read_at: Option<Millis>,
    must_read: bool,
    not_before: Millis,
    won_at: Option<Millis>,
}

impl Candidate {
    /// `identity` must be of this process alone: a pod name and something random.
    pub fn new(identity: String, terms: Terms) -> Self {
        Self {
            identity,
            terms,
            seen: None,
            seen_since: Millis(i64::MIN),
            read_at: None,
            must_read: true,
            not_before: Millis(i64::MIN),
            won_at: None,
        }
    }

    /// What to do now.
    pub fn step(&self, now: Millis) -> Next {
        if now < self.not_before {
            return Next::Wait(self.not_before - now);
        }
        if self.must_read {
            return Next::Read;
        }
        let Some(seen) = &self.seen else {
            return Next::Write(Claim { version: None, acquired: None, transitions: 0 });
        };
        let is_ours = seen.holder == self.identity;
        let wait = match self.won_at {
            Some(won) if is_ours => won + self.terms.renew - now,
            // Ours although no answer said so: the answer was lost. Renew, and be sure.
            None if is_ours => Millis::ZERO,
            _ if seen.holder.is_empty() => Millis::ZERO,
            _ => return self.follow(seen, now),
        };
        if wait > Millis::ZERO { Next::Wait(wait) } else { Next::Write(self.claim(seen)) }
    }

    fn follow(&self, seen: &Record, now: Millis) -> Next {
        let expires_in = self.seen_since + self.terms.duration - now;
        if expires_in <= Millis::ZERO {
            return Next::Write(self.claim(seen));
        }
        let poll_in = self.read_at.map_or(Millis::ZERO, |at| at + self.terms.poll - now);
        if poll_in <= Millis::ZERO { Next::Read } else { Next::Wait(poll_in.min(expires_in)) }
    }

    fn claim(&self, seen: &Record) -> Claim {
        let is_ours = seen.holder == self.identity;
        Claim {
            version: Some(seen.version.clone()),
            acquired: seen.acquired.filter(|_| is_ours),
            transitions: seen.transitions.saturating_add(i32::from(!is_ours)),
        }
    }

    /// The Lease was read; `None` = there is none.
    pub fn observe(&mut self, now: Millis, record: Option<Record>) {
        self.must_read = false;
        self.read_at = Some(now);
        if record.as_ref().is_none_or(|record| record.holder != self.identity) {
            self.won_at = None;
        }
        self.keep(now, record);
    }

    /// Our write, sent at `sent`, was accepted.
    pub fn accepted(&mut self, sent: Millis, now: Millis, record: Record) {
        self.won_at = Some(sent);
        self.must_read = false;
        self.keep(now, Some(record));
    }

    fn keep(&mut self, now: Millis, record: Option<Record>) {
        let is_same = match (&self.seen, &record) {
            (Some(old), Some(new)) => !new.differs_from(old),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            self.seen_since = now;
        }
        self.seen = record;
    }

    /// Somebody else wrote first (409): read again at once.
    pub fn conflicted(&mut self) {
        self.must_read = true;
    }

    /// A request failed or got no answer; whether a write took effect is unknown.
    pub fn failed(&mut self, now: Millis) {
        self.must_read = true;
        self.not_before = now + self.terms.retry;
    }

    /// Until when this replica may act without renewing; `None` = it does not lead.
    pub fn acts_until(&self) -> Option<Millis> {
        self.won_at.map(|won| won + self.terms.give_up)
    }

    /// May this replica act at `now`?
    pub fn may_act(&self, now: Millis) -> bool {
        self.acts_until().is_some_and(|until| now < until)
    }

    /// What to write to hand the Lease over at once; `None` = it is not ours.
    pub fn release(&mut self) -> Option<Claim> {
        self.won_at = None;
        let seen = self.seen.as_ref().filter(|seen| seen.holder == self.identity)?;
        Some(self.claim(seen))
    }
}

#[cfg(test)]
mod tests;
