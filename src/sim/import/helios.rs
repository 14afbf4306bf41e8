//! `helios`: `cluster_log.csv` of the `SenseTime` clusters (Hu et al., SC'21).
//!
//! `job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue`.
//! Times are local without offset: name the zone (`Asia/Shanghai`) for a meaningful hour of day.
//! Sizes and run times as in [`super::cluster_log`]; the owner is `user`.

use super::cluster_log::{self, Dialect};
use super::{ImportError, Origin, Source};
use crate::model::TraceBuilder;
use std::io::BufRead;

/// Reads all rows.
pub(super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    sink: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    cluster_log::read(input, source, sink, &Dialect { kind: None, ends: &["end_time"] })
}

#[cfg(test)]
mod tests {
    use super::super::{Options, testing};
    use super::*;
    use crate::model::SkipReason;

    const HEADER: &str = "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n";

    fn read_rows(rows: &str) -> crate::model::Trace {
        testing::read(read, &format!("{HEADER}{rows}"))
    }

    #[test]
    fn gpus_over_several_nodes_become_workers_if_they_divide_evenly() {
        let trace = read_rows(
            "1,u,vc1,16,32,2,COMPLETED,2020-04-01 00:00:00,2020-04-01 00:01:00,2020-04-01 00:02:00,60,60\n\
             2,u,vc1,9,18,2,COMPLETED,2020-04-01 00:00:00,2020-04-01 00:01:00,2020-04-01 00:03:00,120,60\n",
        );
        let sizes = |shape: &crate::model::Shape| (shape.workers, shape.gpus, shape.cpu_milli);
        let by_secs =
            |secs: i64| trace.jobs.iter().find(|job| job.duration.0 == secs * 1000).unwrap();
        assert_eq!(sizes(trace.shape(by_secs(60))), (2, 8, 16_000));
        assert_eq!(sizes(trace.shape(by_secs(120))), (1, 9, 18_000));
    }

    #[test]
    fn rows_without_gpus_starts_or_time_are_counted_by_reason() {
        let trace = read_rows(
            "1,u,vc1,0,8,1,COMPLETED,2020-04-01 00:00:00,2020-04-01 00:01:00,2020-04-01 00:02:00,60,60\r\n\
             2,u,vc1,1,8,1,CANCELLED,2020-04-01 00:00:00,None,2020-04-01 00:02:00,0,120\r\n\
             3,u,vc1,1,8,1,FAILED,2020-04-01 00:00:00,2020-04-01 00:01:00,2020-04-01 00:01:00,0,60\r\n\
             4,u,vc1,1,8,1,FAILED,2020-04-01 00:00:00,2020-04-01 00:01:00,2020-04-01 00:00:30,-30,60\r\n\
             5,u,vc1,1,8,1,FAILED,,2020-04-01 00:01:00,2020-04-01 00:02:30,90,60\r\n\
             6,u,vc1,1,8,1,FAILED,2020-04-01 00:00:00,2020-04-01 00:01:00,,0,60\r\n",
        );
        let counts = [
            (SkipReason::NoGpu, 1),
            (SkipReason::NoDuration, 2),
            (SkipReason::ZeroDuration, 1),
            (SkipReason::NegativeDuration, 1),
            (SkipReason::NoSubmitTime, 1),
        ];
        for (reason, count) in counts {
            assert_eq!(testing::skipped(&trace, reason), count, "{reason:?}");
        }
        assert_eq!((trace.rows, trace.jobs.len()), (6, 0));
    }

    #[test]
    fn a_running_job_lasts_to_the_latest_time_and_a_lost_end_is_replaced_by_the_duration() {
        let trace = read_rows(
            "1,u,vc1,1,8,1,RUNNING,2020-04-01 00:00:00,2020-04-01 00:01:00,None,0,60\n\
             2,u,vc1,2,8,1,COMPLETED,2020-04-01 00:00:00,2020-04-01 00:01:00,None,77,60\n\
             3,u,vc1,0,8,1,COMPLETED,2020-04-01 00:00:00,2020-04-01 00:01:00,2020-04-01 00:09:00,60,60\n",
        );
        assert_eq!(testing::runs(&trace), [(480, 1), (77, 2)]);
        assert_eq!(trace.adjusted[super::super::recording::END_CENSORED], 1);
    }

    #[test]
    fn local_times_are_read_in_the_zone_named_and_runs_over_a_clock_change_keep_their_length() {
        // 00:30 PDT to 01:30 the second time (PST): two hours, not one.
        let row = "1,u,v,1,8,1,COMPLETED,2017-11-05 00:30:00,2017-11-05 01:40:00,2017-11-05 01:30:00,0,0\n\
                   2,u,v,1,8,1,COMPLETED,2017-11-05 00:30:00,2017-11-05 00:30:00,2017-11-05 02:30:00,0,0\n";
        let time_zone = jiff::tz::TimeZone::get("America/Los_Angeles").unwrap();
        let options = Options { time_zone, ..Options::default() };
        let (trace, origin) = testing::try_read(read, &format!("{HEADER}{row}"), &options).unwrap();
        // The first ended in the second 01:30; the second ran one hour longer than the wall says.
        assert_eq!(testing::runs(&trace), [(3000, 1), (3 * 3600, 1)]);
        assert_eq!(origin, Origin::Epoch);
        let midnight_utc = 1_509_840_000; // 2017-11-05T00:00Z
        assert_eq!(trace.jobs[0].submit.0, (midnight_utc + 7 * 3600 + 1800) * 1000);
    }

    #[test]
    fn a_wrong_time_or_number_is_one_clear_line() {
        let row = "1,u,v,1,8,1,COMPLETED,yesterday,,,0,0\n";
        let message = testing::message(read, &format!("{HEADER}{row}"));
        assert!(message.starts_with("x:2: submit_time: found `yesterday`: a time is"), "{message}");
        let row = "1,u,v,99999999,8,1,COMPLETED,2017-11-05 00:30:00,,,0,0\n";
        let message = testing::message(read, &format!("{HEADER}{row}"));
        assert!(message.starts_with("x:2: gpu_num: found `99999999`: "), "{message}");
    }
}
