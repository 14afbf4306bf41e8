//! Series: the jobs made from one have the demand of the series at every row.

use super::real::real;
use super::*;
use std::collections::BTreeMap;

/// Demand of a pool at an instant (seconds), thousandths of a GPU.
fn demand(trace: &Trace, pool: &str, at: i64) -> u64 {
    let runs = |job: &&crate::model::Job| {
        job.submit.0 <= at * 1000 && at * 1000 < job.submit.0 + job.duration.0
    };
    let of_pool = |job: &&crate::model::Job| trace.shape(job).gpu_models == [pool];
    let jobs = trace.jobs.iter().filter(runs).filter(of_pool);
    jobs.map(|job| trace.shape(job).demand_milli()).sum()
}

const WIDE: &str = "t_s,a,b,submit_jobs,submit_gpus\n\
    0,20,0,9,9.5\n60,3.5,1,,\n120,,9.25,1,1\n180,30,0,1,1\n";

#[test]
fn the_jobs_of_a_series_add_up_to_it_at_every_row() {
    let trace = text(WIDE).unwrap();
    let levels = |pool| [0, 60, 120, 180, 239].map(|at| demand(&trace, pool, at));
    assert_eq!(levels("a"), [20_000, 3500, 3500, 30_000, 30_000], "an empty cell keeps the level");
    assert_eq!(levels("b"), [0, 1000, 9250, 0, 0]);
    assert_eq!(demand(&trace, "a", 240), 0, "one step after the last row all is over");
    assert!(trace.jobs.iter().all(|job| job.is_preexisting() == (job.submit.0 == 0)));
    assert!(trace.shapes.iter().all(|shape| shape.gpus <= 8));
    assert_eq!(trace.rows, 4);
}

#[test]
fn the_three_layouts_say_the_same_in_any_order() {
    let long = text("demand_gpus,pool,t_s\n3,a,60\n20,a,0\n0,b,0\n5,b,60\n").unwrap();
    let wide = text("t_s,b,a\n0,0,20\n60,5,3\n").unwrap();
    let helios = text(
        "t_s,vc,total_gpujob_num,running_gpujob_num,pending_gpujob_num,total_gpu_num,\
         running_gpu_num,pending_gpu_num\n\
         0,a,1,1,0,24,20,0\n60,a,1,1,0,24,1,2\n0,b,1,1,0,8,0,0\n60,b,1,1,0,8,5,0\n",
    )
    .unwrap();
    assert_eq!((&long.jobs, &long.shapes), (&wide.jobs, &wide.shapes));
    assert_eq!((&long.jobs, &long.shapes), (&helios.jobs, &helios.shapes));
}

#[test]
fn dates_keep_their_local_hour() {
    let input = "time,a\n2024-03-10T10:00:00,8\n2024-03-10T11:00:00,16\n";
    let time_zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let local =
        read(input.as_bytes(), "x.csv", None, &Options { time_zone, ..Options::default() }, &())
            .unwrap();
    assert_eq!(local.jobs.iter().map(|job| job.submit.0 / 1000).collect::<Vec<_>>(), [0, 39_600]);
    assert_eq!(local.adjusted[&"first_level_extended_to_start"], 1);
    let offset = input.replace(":00,", ":00+01:00,");
    let time_zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let stated =
        read(offset.as_bytes(), "x.csv", None, &Options { time_zone, ..Options::default() }, &())
            .unwrap();
    assert_eq!(stated, local);
}

#[test]
fn wrong_series_are_refused() {
    let cases = [
        ("t_s,a\n0,1\n", "x.csv: the series has fewer than two points in time"),
        ("t_s,submit_jobs\n0,1\n60,1\n", "the series has no column for a pool"),
        ("t_s,a\n0,1\n60,1\n60,2\n", "x.csv:4: a: found `2`: line 3 gives another level"),
        ("t_s,a\n0,1\n60,-1\n", "x.csv:3: a: found `-1`: the demand in GPUs is a number from 0"),
        ("t_s,a\n-5,1\n60,1\n", "x.csv:2: t_s: found `-5`"),
        ("time,pool,demand_gpus\nnoon,a,1\n", "x.csv:2: time: found `noon`: write the time like"),
        ("t_s,pool,demand_gpus\n0,,1\n", "x.csv:2: pool: found ``: write the name of the pool"),
    ];
    for (input, expected) in cases {
        let error = refused(input);
        assert!(error.contains(expected), "{input}: {error}");
    }
}

/// Running and waiting GPUs per virtual cluster, summed over all minutes, read by hand.
fn gpu_steps(path: &Path) -> BTreeMap<String, u64> {
    let file = std::fs::File::open(path).unwrap();
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(file)).unwrap();
    let mut sums = BTreeMap::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [running, pending] = [6, 7].map(|column: usize| cells[column].parse::<u64>().unwrap());
        *sums.entry(cells[1].to_owned()).or_default() += running + pending;
    }
    sums
}

#[test]
fn the_helios_series_keeps_its_gpu_minutes_per_cluster() {
    let Some(path) = real("helios_earth_may2020_series.csv.gz") else { return };
    let trace = read_file(&path, None, &Options::default(), &()).unwrap();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for job in &trace.jobs {
        let shape = trace.shape(job);
        *sums.entry(shape.gpu_models[0].clone()).or_default() +=
            shape.demand_milli() / 1000 * (job.duration.0 / 60_000) as u64;
    }
    assert_eq!(sums, gpu_steps(&path));
}

#[test]
fn the_hourly_series_of_alibaba_is_met_at_every_hour_looked_at() {
    let Some(path) = real("alibaba_spotgpu2026_series_d000_120.csv.gz") else { return };
    let trace = read_file(&path, None, &Options::default(), &()).unwrap();
    assert_eq!(trace.rows, 2880);
    // Rows 0, 2 and 998 of the file.
    let levels = [0, 7200, 3_592_800].map(|at| demand(&trace, "H800", at));
    assert_eq!(levels, [1_416_000, 0, 1_488_000]);
    assert_eq!(demand(&trace, "A100-SXM4-80GB", 7200), 2_072_000);
}
