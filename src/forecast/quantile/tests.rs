use super::*;
use crate::forecast::bins::Activity;
use proptest::prelude::*;

const STILL: Features = Features { burst: 0, hour: 0, weekend: false, activity: Activity::Quiet };

fn in_hour(hour: u8) -> Features {
    Features { hour, ..STILL }
}

fn table(rows: &[(Features, i64)], prior: Option<Prior<'_>>) -> Table {
    let (features, labels): (Vec<Features>, Vec<i64>) = rows.iter().copied().unzip();
    Table::fit(&features, &labels, prior).unwrap()
}

#[test]
fn quantiles_of_one_to_a_thousand_are_their_ranks() {
    // Told in a scrambled order: 7 has no common factor with 1000.
    let rows: Vec<_> = (0..1000).map(|i| (STILL, (i * 7) % 1000 + 1)).collect();
    let table = table(&rows, None);
    assert_eq!(table.rows[0], [500, 700, 800, 900, 950, 980, 990, 1000]);
    assert_eq!((table.labels(), table.spread), (1000, 800));
    // All in one bin: shrinking towards an equal parent changes nothing.
    for scheme in Scheme::EVERY {
        assert_eq!(table.row(scheme, &STILL), &table.rows[0]);
    }
}

#[test]
fn nearest_rank_rounds_up_on_few_labels() {
    let rows: Vec<_> = (1..=10).map(|value| (STILL, value)).collect();
    assert_eq!(table(&rows, None).rows[0], [5, 7, 8, 9, 10, 10, 10, 10]);
    assert_eq!(table(&rows[..1], None).rows[0], [1; 8]);
}

#[test]
fn a_bin_without_labels_is_its_parent() {
    let rows: Vec<_> = (0..1000).map(|value| (in_hour(1), value)).collect();
    let table = table(&rows, None);
    assert_eq!(table.row(Scheme::Hour, &in_hour(3)), table.row(Scheme::Block, &in_hour(1)));
    assert_eq!(table.row(Scheme::Hour, &in_hour(9)), table.row(Scheme::All, &STILL));
}

#[test]
fn a_bin_below_the_minimum_says_nothing_and_from_there_on_shrinks() {
    // 10 everywhere else, 110 in this bin.
    let with = |count: usize| {
        let few = (0..count).map(|_| (Features { burst: 5, ..STILL }, 110));
        let rows: Vec<_> = (0..10_000).map(|_| (STILL, 10)).chain(few).collect();
        table(&rows, None).row(Scheme::Burst, &Features { burst: 5, ..STILL })[0]
    };
    assert_eq!(with(59), 10);
    // 60 / 110 of the way from 10 to 110 is 64.5...: rounded up.
    assert_eq!(with(60), 65);
    assert_eq!(with(50 * 19), 105);
}

#[test]
fn a_bin_with_many_labels_is_itself() {
    let full: Vec<_> = (0..6_000_000_i64)
        .map(|i| if i % 2 == 0 { (in_hour(1), 1_000_000) } else { (in_hour(2), 0) })
        .collect();
    let table = table(&full, None);
    let row = table.row(Scheme::Hour, &in_hour(1));
    assert!(row.iter().all(|&value| value > 999_900), "{row:?}");
    let row = table.row(Scheme::Hour, &in_hour(2));
    assert!(row[0] < 100, "{row:?}");
}

#[test]
fn a_prior_stands_in_and_then_fades() {
    let elsewhere = Table::uniform([8000; 8]);
    let prior = Some(Prior::of(&elsewhere));
    assert_eq!(Table::fit(&[], &[], prior), Some(elsewhere.clone()));
    assert_eq!(Table::fit(&[], &[], None), None);
    let after = |labels: usize| table(&vec![(STILL, 0); labels], prior).rows[0][3];
    assert_eq!(after(1440), 4000);
    assert_eq!(after(1440 * 7), 1000);
    // A bin that has seen nothing still knows what others know of it.
    let mut others = Table::uniform([0; 8]);
    let place = Scheme::Burst.offset() + 5;
    others.rows[place] = [9000; 8];
    let mine = table(&vec![(STILL, 0); 1440], Some(Prior::of(&others)));
    assert_eq!(mine.rows[place][0], 4500);
}

#[test]
fn between_levels_it_is_linear_and_at_a_level_exact() {
    let table = Table::uniform([0, 20, 30, 40, 50, 80, 90, 190]);
    let at = |level| table.quantile(Scheme::Burst, &STILL, level);
    let levels = [0.0, 0.5, 0.6, 0.7, 0.9, 1.0 - 0.05, 0.98, 0.99, 0.999, 1.0, 7.0];
    assert_eq!(levels.map(at), [0, 0, 10, 20, 40, 50, 80, 90, 180, 190, 190]);
    assert_eq!(at(0.951), 51);
    assert_eq!(at(0.9501), 51, "rounded up");
}

fn any_features() -> impl Strategy<Value = Features> {
    (0u8..6, 0u8..24, any::<bool>(), 0usize..3).prop_map(|(burst, hour, weekend, busy)| {
        let activity = [Activity::Quiet, Activity::Active, Activity::Repeating][busy];
        Features { burst, hour, weekend, activity }
    })
}

proptest! {
    #[test]
    fn tables_rise_with_the_level_stay_in_range_and_ignore_order(
        mut rows in prop::collection::vec((any_features(), 0i64..50_000), 1..400),
        level in 0.5f64..1.0,
    ) {
        let before = table(&rows, None);
        let most = rows.iter().map(|row| row.1).max().unwrap();
        let least = rows.iter().map(|row| row.1).min().unwrap();
        for row in &before.rows {
            prop_assert!(row.is_sorted(), "{row:?}");
            prop_assert!(least <= row[0] && row[7] <= most);
        }
        let (features, _) = rows[0];
        for scheme in Scheme::EVERY {
            let row = before.row(scheme, &features);
            let seen = before.quantile(scheme, &features, level);
            prop_assert!(row[0] <= seen && seen <= row[7]);
        }
        rows.reverse();
        prop_assert_eq!(table(&rows, None), before);
    }

    #[test]
    fn each_bin_of_its_own_is_the_nearest_rank_of_its_labels(
        rows in prop::collection::vec((any_features(), 0i64..500), 1..300),
    ) {
        let (features, labels): (Vec<Features>, Vec<i64>) = rows.iter().copied().unzip();
        let (own, counts, _) = empirical(&features, &labels).unwrap();
        for scheme in Scheme::EVERY {
            for bin in 0..scheme.bins() {
                let mut mine: Vec<i64> =
                    rows.iter().filter(|row| scheme.bin(&row.0) == bin).map(|row| row.1).collect();
                mine.sort_unstable();
                let place = scheme.offset() + bin;
                prop_assert_eq!(counts[place] as usize, mine.len());
                for (level, &permille) in LEVELS.iter().enumerate() {
                    let above = mine.iter().find(|&&value| {
                        let upto = mine.iter().filter(|&&other| other <= value).count();
                        upto * 1000 >= mine.len() * permille as usize
                    });
                    prop_assert_eq!(own[place][level], above.copied().unwrap_or(0));
                }
            }
        }
    }
}
