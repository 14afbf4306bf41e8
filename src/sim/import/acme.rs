//! `acme`: job logs of Shanghai AI Laboratory, clusters Seren and Kalos (Hu et al., NSDI'24).
//!
//! `job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,
//! gpu_time`; Kalos adds `mem_per_pod_GB,shared_mem_per_pod,fail_time,stop_time`. Times carry their
//! offset. Sizes and run times as in [`super::cluster_log`]; `type` becomes the kind, memory per pod is
//! left out because pods are not nodes.

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
    let dialect = Dialect { kind: Some("type"), ends: &["end_time", "stop_time", "fail_time"] };
    cluster_log::read(input, source, sink, &dialect)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::model::SkipReason;

    #[test]
    fn seren_rows_have_offsets_totals_and_empty_times() {
        let trace = testing::read(
            read,
            "\u{feff}job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time\r\n\
             1,u1,4,32,64,Pretrain,COMPLETED,2023-05-17 08:00:00+08:00,2023-05-17 08:00:10+08:00,2023-05-17 09:00:10+08:00,3600,10,115200\r\n\
             2,u2,1,8,16,Other,CANCELLED,2023-05-17 08:00:00+08:00,,,,,\r\n\
             3,u2,1,0,16,Other,COMPLETED,2023-05-17 08:00:00+08:00,2023-05-17 08:00:10+08:00,2023-05-17 09:00:10+08:00,3600,10,0\r\n",
        );
        let job = &trace.jobs[0];
        assert_eq!(job.submit.0, 1_684_281_600_000); // 2023-05-17T00:00:00Z
        assert_eq!((trace.shape(job).workers, trace.shape(job).gpus), (4, 8));
        assert_eq!(trace.owners[job.owner.0 as usize], "u1");
        assert_eq!(trace.kinds[job.kind.0 as usize], "Pretrain");
        assert_eq!(testing::skipped(&trace, SkipReason::NoDuration), 1);
        assert_eq!(testing::skipped(&trace, SkipReason::NoGpu), 1);
    }

    #[test]
    fn kalos_rows_fall_back_on_the_time_they_were_stopped() {
        let trace = testing::read(
            read,
            "job_id,user,node_num,gpu_num,cpu_num,mem_per_pod_GB,shared_mem_per_pod,type,state,submit_time,start_time,end_time,fail_time,stop_time,duration,queue,gpu_time\n\
             a,u1,1,8.0,96,1000.0,100,Other,FAILED,2023-05-17 11:00:58+00:00,2023-05-17 11:01:00+00:00,,2023-05-17 11:02:00+00:00,,,2.0,\n",
        );
        assert_eq!(testing::runs(&trace), [(60, 8)]);
    }
}
