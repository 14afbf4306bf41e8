use super::*;
use proptest::prelude::*;

/// The API server: one Lease with a version.
#[derive(Default)]
struct Server {
    lease: Option<Record>,
    writes: u64,
}

impl Server {
    /// A write takes effect if it names the current version; `Err` = 409.
    fn write(&mut self, claim: &Claim, holder: &str, wall: i64) -> Result<Record, ()> {
        let current = self.lease.as_ref().map(|lease| lease.version.clone());
        if current != claim.version {
            return Err(());
        }
        self.writes += 1;
        let record = Record {
            version: self.writes.to_string(),
            holder: holder.to_owned(),
            acquired: claim.acquired.or(Some(wall)),
            renewed: Some(wall),
            transitions: claim.transitions,
        };
        self.lease = Some(record.clone());
        Ok(record)
    }
}

/// What a read found.
type Seen = Option<Record>;

/// One request under way.
enum Flight {
    Read {
        arrives: i64,
        answer: Option<i64>,
        seen: Option<Seen>,
    },
    Write {
        sent: i64,
        arrives: i64,
        answer: Option<i64>,
        claim: Claim,
        done: Option<Result<Record, ()>>,
    },
}

struct Replica {
    name: String,
    candidate: Candidate,
    /// Its monotonic clock is the true time plus this.
    offset: i64,
    flight: Option<Flight>,
    /// Writes that were given up and arrive nevertheless.
    late: Vec<(i64, Claim)>,
    gives_up_at: i64,
    wakes: i64,
    paused_until: i64,
    is_dead: bool,
}

impl Replica {
    fn new(index: usize, offset: i64) -> Self {
        let name = format!("replica-{index}");
        Self {
            candidate: Candidate::new(name.clone(), Terms::default()),
            name,
            offset,
            flight: None,
            late: Vec::new(),
            gives_up_at: 0,
            wakes: 0,
            paused_until: 0,
            is_dead: false,
        }
    }

    fn clock(&self, now: i64) -> Millis {
        Millis(now + self.offset)
    }

    fn acts(&self, now: i64) -> bool {
        !self.is_dead && now >= self.paused_until && self.candidate.may_act(self.clock(now))
    }

    /// What happens at the server goes on while the replica stands still.
    fn arrive(&mut self, now: i64, server: &mut Server, wall: i64) {
        for (_, claim) in self.late.extract_if(.., |(arrives, _)| *arrives == now) {
            server.write(&claim, &self.name, wall).ok();
        }
        match &mut self.flight {
            Some(Flight::Read { arrives, seen, .. }) if *arrives == now => {
                *seen = Some(server.lease.clone());
            }
            Some(Flight::Write { arrives, claim, done, .. }) if *arrives == now => {
                *done = Some(server.write(claim, &self.name, wall));
            }
            _ => {}
        }
    }

    fn run(&mut self, now: i64, draw: &mut impl FnMut(i64) -> i64) {
        if self.is_dead || now < self.paused_until {
            return;
        }
        let clock = self.clock(now);
        match self.flight.take() {
            Some(Flight::Read { answer: Some(at), seen: Some(seen), .. }) if now >= at => {
                self.candidate.observe(clock, seen);
                self.wakes = now;
            }
            Some(Flight::Write { sent, answer: Some(at), done: Some(done), .. }) if now >= at => {
                match done {
                    Ok(record) => self.candidate.accepted(Millis(sent), clock, record),
                    Err(()) => self.candidate.conflicted(),
                }
                self.wakes = now;
            }
            Some(flight) if now >= self.gives_up_at => {
                if let Flight::Write { arrives, claim, done: None, .. } = flight {
                    self.late.push((arrives, claim));
                }
                self.candidate.failed(clock);
                self.wakes = now;
            }
            flight => self.flight = flight,
        }
        if self.flight.is_none() && now >= self.wakes {
            self.begin(now, clock, draw);
        }
    }

    fn begin(&mut self, now: i64, clock: Millis, draw: &mut impl FnMut(i64) -> i64) {
        // One in eight answers is lost; most are fast, some slow.
        let arrives = now + 1 + draw(20) + if draw(10) == 0 { draw(3000) } else { 0 };
        let answer = (draw(8) != 0).then(|| arrives + 1 + draw(50));
        self.gives_up_at = now + 2500;
        self.flight = match self.candidate.step(clock) {
            Next::Wait(span) => {
                self.wakes = now + span.0.max(1);
                None
            }
            Next::Read => Some(Flight::Read { arrives, answer, seen: None }),
            Next::Write(claim) => {
                Some(Flight::Write { sent: clock.0, arrives, answer, claim, done: None })
            }
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Two or three replicas, lost answers, writes that arrive late, pauses and wall clocks that jump.
    #[test]
    fn never_two_act_at_one_time(replicas in 2_usize..4, seed in any::<u64>()) {
        let mut state = seed | 1;
        let mut draw = move |below: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as i64) % below
        };
        let mut server = Server::default();
        let mut crowd: Vec<Replica> =
            (0..replicas).map(|index| Replica::new(index, draw(1_000_000))).collect();
        let mut acted = 0_u64;
        for now in 0..120_000_i64 {
            for replica in &mut crowd {
                let wall = draw(1_000_000_000);
                replica.arrive(now, &mut server, wall);
                if draw(60_000) == 0 {
                    replica.paused_until = now + draw(40_000);
                }
                replica.run(now, &mut draw);
            }
            let acting = crowd.iter().filter(|replica| replica.acts(now)).count();
            prop_assert!(acting <= 1, "{acting} act at {now}");
            acted += acting as u64;
        }
        prop_assert!(acted > 20_000, "acted for {acted} of 120000 ms only");
    }
}

#[test]
fn a_dead_leader_is_followed_within_fifteen_seconds() {
    for phase in 0..60 {
        let mut server = Server::default();
        let mut crowd = vec![Replica::new(0, 7), Replica::new(1, 500_000)];
        crowd[1].paused_until = 1_000 + phase * 50;
        // Answers after 11 ms, none is lost: the draw is always 5.
        let mut draw = |_: i64| 5;
        let (mut dead_at, mut taken_at) = (None, None);
        for now in 0..60_000_i64 {
            for replica in &mut crowd {
                replica.arrive(now, &mut server, now);
                replica.run(now, &mut draw);
            }
            if now == 20_000 + phase * 37 {
                crowd[0].is_dead = true;
                dead_at = Some(now);
            }
            if taken_at.is_none() && crowd[1].acts(now) {
                taken_at = Some(now);
            }
        }
        let (dead_at, taken_at) = (dead_at.unwrap(), taken_at.unwrap());
        assert!(taken_at > dead_at, "taken over from the living");
        assert!(taken_at - dead_at <= 15_000, "{} ms", taken_at - dead_at);
    }
}

fn lease(holder: &str, version: &str, renewed: i64) -> Record {
    Record {
        version: version.to_owned(),
        holder: holder.to_owned(),
        acquired: Some(1),
        renewed: Some(renewed),
        transitions: 4,
    }
}

#[test]
fn anothers_lease_expires_by_our_clock_alone() {
    let mut us = Candidate::new("us".to_owned(), Terms::default());
    // Written long ago by its own account: that says nothing.
    us.observe(Millis(1_000), Some(lease("them", "7", -99)));
    assert_eq!(us.step(Millis(1_000)), Next::Wait(Millis(2_000)));
    us.observe(Millis(12_900), Some(lease("them", "8", -99)));
    assert_eq!(us.step(Millis(12_999)), Next::Wait(Millis(1)));
    // The version is another one (a label), the record is not: the time runs on.
    let claim = Claim { version: Some("8".to_owned()), acquired: None, transitions: 5 };
    assert_eq!(us.step(Millis(13_000)), Next::Write(claim));
}

#[test]
fn a_released_lease_is_taken_at_once_and_a_new_one_made_if_there_is_none() {
    let mut us = Candidate::new("us".to_owned(), Terms::default());
    assert_eq!(us.step(Millis(0)), Next::Read);
    us.observe(Millis(0), Some(lease("", "7", 5)));
    assert!(matches!(us.step(Millis(0)), Next::Write(Claim { transitions: 5, .. })));
    us.observe(Millis(0), None);
    assert!(matches!(us.step(Millis(0)), Next::Write(Claim { version: None, .. })));
}

#[test]
fn a_leader_stops_acting_before_its_lease_can_be_taken() {
    let mut us = Candidate::new("us".to_owned(), Terms::default());
    us.accepted(Millis(100), Millis(900), lease("us", "9", 1));
    assert!(us.may_act(Millis(8_099)));
    assert!(!us.may_act(Millis(8_100)));
    assert_eq!(us.step(Millis(900)), Next::Wait(Millis(2_200)));
    us.observe(Millis(1_000), Some(lease("them", "10", 2)));
    assert!(!us.may_act(Millis(1_000)));
    assert_eq!(us.release(), None);
}
