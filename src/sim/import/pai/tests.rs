//! Small task and job tables with every trap.

use super::super::{Options, testing};
use super::*;
use crate::model::{GangId, Trace};
use std::io::Write;

fn with_jobs(tasks: &str, jobs: &str) -> Trace {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(jobs.as_bytes()).unwrap();
    let pai_job_table = Some(file.path().to_owned());
    let options = Options { pai_job_table, ..Options::default() };
    testing::try_read(read, tasks, &options).unwrap().0
}

#[test]
fn percentages_become_devices_shares_and_workers() {
    let trace = testing::read(
        read,
        "a,tensorflow,4,Terminated,1000.0,1060.0,600.0,29.296875,50.0,T4\n\
         b,worker,1.0,Terminated,2000,2060,800,10,150,V100\n\
         c,worker,2,Terminated,3000,3060,,,200,\n",
    );
    let shapes: Vec<_> = trace.jobs.iter().map(|job| trace.shape(job).clone()).collect();
    let sizes: Vec<_> = shapes
        .iter()
        .map(|s| (s.workers, s.gpus, s.gpu_milli, s.cpu_milli, s.memory_mib))
        .collect();
    assert_eq!(sizes, [(4, 1, 500, 6000, 30_000), (1, 2, 750, 8000, 10_240), (2, 2, 1000, 0, 0)]);
    assert_eq!(shapes[0].gpu_models, ["T4"]);
    assert!(shapes[2].gpu_models.is_empty());
    assert_eq!(trace.jobs[0].submit, Timestamp::from_secs(1000));
    assert_eq!(trace.adjusted["submit_from_task"], 3);
}

#[test]
fn the_job_table_gives_owner_and_submission() {
    let trace = with_jobs(
        "a,worker,1,Terminated,1000,1060,600,10,100,T4\nz,worker,1,Failed,1500,1560,600,10,100,T4\n",
        "a,i1,ann,Terminated,900,1100\nb,i2,bob,Terminated,800,900\n",
    );
    let seen: Vec<_> = trace
        .jobs
        .iter()
        .map(|job| (job.submit.0 / 1000, job.duration.0 / 1000, job.owner.0))
        .collect();
    assert_eq!(seen, [(900, 60, 1), (1500, 60, 0)]);
    assert_eq!(trace.owners, ["", "ann"]);
    assert_eq!(trace.adjusted["submit_from_task"], 1);
}

#[test]
fn the_tasks_of_a_job_that_ask_for_gpus_form_a_gang() {
    let trace = testing::read(
        read,
        "j,ps,1,Terminated,1000,1060,600,10,,\n\
         j,worker,3,Terminated,1000,1060,600,10,100,T4\n\
         j,chief,1,Terminated,1000,1070,600,10,100,T4\n\
         k,ps,1,Terminated,1000,1060,600,10,0,CPU\n\
         k,worker,1,Terminated,1000,1080,600,10,100,T4\n",
    );
    assert_eq!(testing::skipped(&trace, SkipReason::NoGpu), 2);
    assert_eq!((trace.gangs.len(), trace.gangs[0].min_members), (1, 2));
    let alone: Vec<_> = trace.jobs.iter().filter(|job| job.gang == GangId::NONE).collect();
    assert_eq!((alone.len(), alone[0].duration.0), (1, 80_000));
}

#[test]
fn a_running_task_is_cut_off_and_a_waiting_or_lost_one_is_skipped() {
    let trace = testing::read(
        read,
        "a,worker,1,Running,1000,,600,10,100,T4\r\n\
         b,worker,1,Waiting,,,600,10,100,T4\r\n\
         c,worker,1,Failed,1000,,600,10,100,T4\r\n\
         d,worker,1,Terminated,1000,1000,600,10,100,T4\r\n\
         e,worker,1,Terminated,5000,4000,600,10,100,T4\r\n",
    );
    assert_eq!(testing::runs(&trace), [(4000, 1)]);
    assert_eq!(trace.adjusted["end_censored"], 1);
    assert_eq!(testing::skipped(&trace, SkipReason::NoDuration), 2);
    assert_eq!(testing::skipped(&trace, SkipReason::ZeroDuration), 1);
    assert_eq!(testing::skipped(&trace, SkipReason::NegativeDuration), 1);
}

#[test]
fn a_missing_job_table_and_absurd_plans_are_clear_errors() {
    let options = Options { pai_job_table: Some("/none/such".into()), ..Options::default() };
    let error = testing::try_read(read, "", &options).err().unwrap().to_string();
    assert!(error.starts_with("/none/such: cannot read"), "{error}");
    let message = testing::message(read, "a,w,1,Terminated,1,2,600,10,-50,T4\n");
    assert_eq!(
        message,
        "x:1: plan_gpu: found `-50`: the GPU plan, in percent of a GPU, is from 0 to 1000000"
    );
}
