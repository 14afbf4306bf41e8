//! The ledger by hand, and against demand that spites it.

use super::*;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000;

fn ledger(alive: u32, shadow: u32, needed: u32) -> Ledger {
    let mut ledger = Ledger::new(Timestamp::ZERO, LedgerSettings::default());
    ledger.advance(Timestamp::ZERO, Standing { alive, shadow, needed });
    ledger
}

fn none() -> impl Iterator<Item = Millis> {
    std::iter::empty()
}

fn hours(hours: i64) -> Timestamp {
    Timestamp::ZERO + Millis::from_hours(hours)
}

#[test]
fn speculation_spends_and_the_shadow_earns() {
    // 3 nodes too many, 10 in the shadow: 3 - 1.5 node-hours an hour.
    let mut ledger = ledger(15, 10, 12);
    ledger.advance(hours(2), Standing::default());
    assert_eq!(ledger.credit(), 5 * i128::from(HOUR));
    let totals = ledger.totals();
    assert_eq!((totals.earned, totals.spent), (3 * i128::from(HOUR), 6 * i128::from(HOUR)));
    assert_eq!(totals.forfeited, 0);
    // Nothing in excess: nothing spent. The bucket does not overflow.
    ledger.advance(hours(2), Standing { alive: 10, shadow: 100, needed: 0 });
    ledger.advance(hours(3), Standing::default());
    assert_eq!(ledger.credit(), 8 * i128::from(HOUR));
    assert_eq!(ledger.totals().forfeited, 12 * i128::from(HOUR));
}

#[test]
fn nodes_on_their_way_are_paid_for_beforehand() {
    let ledger = ledger(10, 10, 10);
    let half = Millis::from_mins(30);
    assert_eq!(ledger.allowance(none(), half), 16);
    assert_eq!(ledger.allowance([half; 5].into_iter(), half), 11);
    assert_eq!(ledger.allowance([half; 20].into_iter(), half), 0);
}

#[test]
fn it_runs_dry_when_idle_nodes_have_eaten_what_is_not_committed() {
    // 4 idle on speculation, nothing earned: 8 node-hours last 2 h.
    let idle = ledger(4, 0, 0);
    assert_eq!(idle.runs_dry_at(none()), hours(2));
    // 2 of the 4 land in an hour. Until then the other two eat 2 of the 6 not committed; then all four
    // eat the remaining 4 in another hour.
    let landing = [Millis::from_hours(1); 2];
    assert_eq!(idle.runs_dry_at(landing.into_iter()), hours(2));
    assert_eq!(idle.must_shed(none()), 0);
    // Everything is committed: what is idle goes, what flies stays.
    let long = [Millis::from_hours(4); 2];
    assert_eq!(idle.runs_dry_at(long.into_iter()), hours(0));
    assert_eq!(idle.must_shed(long.into_iter()), 2);
    // 27 in the shadow earn more than 4 spend.
    assert_eq!(ledger(31, 27, 0).runs_dry_at(none()), Timestamp::NEVER);
}

#[test]
fn it_survives_serialisation() {
    let ledger = ledger(15, 10, 12);
    let text = serde_json::to_string(&ledger).unwrap();
    assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
}

/// A node on its way: when it is usable at the latest, and when it really is.
#[derive(Clone, Copy, Debug)]
struct Flight {
    latest: i64,
    usable: i64,
    is_speculative: bool,
}

/// A pool whose controller speculates as much as it may and keeps everything as long as it may.
struct Pool {
    now: i64,
    usable: u32,
    flights: Vec<Flight>,
    demand: u32,
    shadow: u32,
    ledger: Ledger,
    /// Thousandths of the two sides of the guarantee.
    alive_integral: i128,
    bound: i128,
}

const LEAD: i64 = 540_000;

impl Pool {
    fn new(settings: LedgerSettings) -> Self {
        Self {
            now: 0,
            usable: 0,
            flights: Vec::new(),
            demand: 0,
            shadow: 0,
            ledger: Ledger::new(Timestamp::ZERO, settings),
            alive_integral: 0,
            bound: capacity(&settings),
        }
    }

    fn committed(&self) -> Vec<Millis> {
        let speculative = self.flights.iter().filter(|flight| flight.is_speculative);
        speculative.map(|flight| Millis(flight.latest - self.now)).collect()
    }

    fn standing(&self) -> Standing {
        let firm = self.flights.iter().filter(|flight| !flight.is_speculative).count() as u32;
        let speculative = self.flights.len() as u32 - firm;
        let waiting = self.demand.saturating_sub(self.usable);
        let wanted = firm.max(waiting.min(firm + speculative));
        Standing {
            alive: self.usable + self.flights.len() as u32,
            shadow: self.shadow,
            needed: self.demand.min(self.usable) + wanted,
        }
    }

    fn look(&mut self, lead: i64) {
        self.ledger.advance(Timestamp(self.now), self.standing());
        let alive = self.usable + self.flights.len() as u32;
        self.request(self.demand.saturating_sub(alive), false, lead);
        self.shed();
        let most = self.ledger.allowance(self.committed().into_iter(), Millis(LEAD));
        self.request(most.min(50), true, lead);
        self.shed();
    }

    fn request(&mut self, nodes: u32, is_speculative: bool, lead: i64) {
        let flight = Flight { latest: self.now + LEAD, usable: self.now + lead, is_speculative };
        self.flights.extend(std::iter::repeat_n(flight, nodes as usize));
        self.ledger.advance(Timestamp(self.now), self.standing());
    }

    fn shed(&mut self) {
        let idle = self.usable.saturating_sub(self.demand);
        let gone = self.ledger.must_shed(self.committed().into_iter()).min(idle);
        self.usable -= gone;
        self.ledger.advance(Timestamp(self.now), self.standing());
    }

    /// Goes on to `until`, looking wherever something changes.
    fn go(&mut self, until: i64, lead: i64) {
        loop {
            let dry = self.ledger.runs_dry_at(self.committed().into_iter()).0;
            let landing = self.flights.iter().map(|flight| flight.usable).min().unwrap_or(i64::MAX);
            let dry = if dry <= self.now { self.now + 1 } else { dry };
            let next = until.min(landing).min(dry);
            self.pass(next - self.now);
            self.land();
            self.look(lead);
            if next >= until {
                return;
            }
        }
    }

    fn pass(&mut self, span: i64) {
        let standing = self.standing();
        let base = SCALE * i128::from(standing.shadow.max(standing.needed));
        let rho = i128::from(self.ledger.settings.rho_permille) * i128::from(standing.shadow);
        self.alive_integral += SCALE * i128::from(standing.alive) * i128::from(span);
        self.bound += (base + rho) * i128::from(span);
        self.now += span;
        assert!(self.alive_integral <= self.bound, "{} over {}", self.alive_integral, self.bound);
    }

    fn land(&mut self) {
        let before = self.flights.len();
        self.flights.retain(|flight| flight.usable > self.now);
        self.usable += (before - self.flights.len()) as u32;
    }
}

#[derive(Clone, Copy, Debug)]
enum Demand {
    Level(u32),
    /// More than there is, so that everything is in use; then nothing.
    AllAndABit,
    Nothing,
    /// As much as is usable.
    Exactly,
}

fn moves() -> impl Strategy<Value = Vec<(i64, Demand, u32, i64)>> {
    let demand = prop_oneof![
        (0u32..40).prop_map(Demand::Level),
        Just(Demand::AllAndABit),
        Just(Demand::Nothing),
        Just(Demand::Exactly),
    ];
    let span = prop_oneof![Just(1), Just(LEAD - 1), Just(LEAD), Just(LEAD + 1), 1i64..20_000_000];
    prop::collection::vec((span, demand, 0u32..40, 1i64..=LEAD), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn the_bound_holds_at_every_instant_whatever_demand_does(
        moves in moves(), rho_permille in 0u32..400, capacity_node_ms in 0i64..40_000_000,
    ) {
        let settings = LedgerSettings { rho_permille, capacity_node_ms };
        let mut pool = Pool::new(settings);
        for (span, demand, shadow, lead) in moves {
            pool.shadow = shadow;
            pool.demand = match demand {
                Demand::Level(level) => level,
                Demand::AllAndABit => pool.usable + pool.flights.len() as u32 / 2 + 1,
                Demand::Nothing => 0,
                Demand::Exactly => pool.usable,
            };
            pool.look(lead);
            pool.go(pool.now + span, lead);
            prop_assert!(pool.ledger.credit() >= 0);
            let totals = pool.ledger;
            prop_assert_eq!(
                totals.credit,
                capacity(&settings) + totals.earned - totals.forfeited - totals.spent
            );
        }
    }

    /// Demand comes the moment nodes were let go and goes the moment new ones are there.
    #[test]
    fn the_bound_holds_against_spite(turns in 1usize..60, peak in 1u32..60, lead in 1i64..=LEAD, shadow in 0u32..20) {
        let settings = LedgerSettings { capacity_node_ms: 20 * LEAD, ..LedgerSettings::default() };
        let mut pool = Pool::new(settings);
        pool.shadow = shadow;
        for _ in 0..turns {
            pool.demand = 0;
            pool.look(lead);
            let dry = pool.ledger.runs_dry_at(pool.committed().into_iter()).0;
            pool.go(if dry == i64::MAX { pool.now + 10 * LEAD } else { dry.max(pool.now) + 1 }, lead);
            pool.demand = pool.usable + peak;
            pool.look(lead);
            let landing = pool.flights.iter().map(|flight| flight.usable).max().unwrap_or(pool.now);
            pool.go(landing.max(pool.now) + 1, lead);
            prop_assert!(pool.ledger.credit() >= 0);
        }
    }
}
