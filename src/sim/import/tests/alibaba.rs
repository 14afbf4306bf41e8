//! The data sets of Alibaba: missing times, units, fractions.

use super::real::real;
use super::*;

fn kept(trace: &Trace) -> Vec<(i64, i64, u64)> {
    let row = |job: &crate::model::Job| {
        (job.submit.0 / 1000, job.duration.0 / 1000, trace.shape(job).demand_milli())
    };
    trace.jobs.iter().map(row).collect()
}

const OPENB: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,\
    creation_time,deletion_time,scheduled_time\n\
    a,12000,16384,1,460,V100M32|V100M16,LS,Running,10,110,20\n\
    b,4000,8192,8,1000,,BE,Running,50,,60\n\
    c,4000,8192,1,1000,,BE,Pending,70,90,\n\
    d,4000,8192,0,0,,LS,Running,80,1000,80\n\
    e,4000,8192,1,1000,,LS,Failed,80,80,80\n\
    f,4000,8192,1,1000,,LS,Failed,80,70,80\n\
    g,4000,8192,1,1000,,LS,Failed,,70,\n";

#[test]
fn openb_pods_run_from_scheduling_to_deletion_or_the_end() {
    let trace = text(OPENB).unwrap();
    assert_eq!(kept(&trace), [(10, 90, 460), (50, 940, 8000)], "the recording ends at 1000");
    let shape = trace.shape(&trace.jobs[0]);
    assert_eq!((shape.cpu_milli, shape.memory_mib), (12_000, 16_384));
    assert_eq!(shape.gpu_models, ["V100M16", "V100M32"]);
    let skipped = [
        (SkipReason::NoDuration, 1),
        (SkipReason::NoGpu, 1),
        (SkipReason::ZeroDuration, 1),
        (SkipReason::NegativeDuration, 1),
        (SkipReason::NoSubmitTime, 1),
    ];
    assert_eq!(trace.skipped, skipped.into_iter().collect());
    assert_eq!(trace.adjusted[&"end_cut_off_by_recording"], 1);
}

#[test]
fn openb_lists_without_times_are_refused() {
    let error = refused("name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,1,1,1000\n");
    assert!(error.contains("x.csv:1: creation_time: "), "{error}");
}

#[test]
fn dlrm_instances_without_times_ran_throughout() {
    let trace = text(
        "instance_sn,role,app_name,cpu_request,gpu_request,memory_request,creation_time,\
         scheduled_time,deletion_time\n\
         i1,HN,app_0,12,1,120.0,,,\n\
         i2,HN,app_0,12,1,120.0,NaN,30.0,NaN\n\
         i3,CN,app_1,64,0,320.0,1.0,1.0,500.0\n\
         i4,HN,app_0,12,1,120.5,100.0,110.0,400.0\n\
         i5,HN,app_0,12,1,120.0,100.0,,400.0\n",
    )
    .unwrap();
    assert_eq!(kept(&trace), [(0, 470, 1000), (0, 500, 1000), (100, 290, 1000)], "shorter first");
    assert_eq!(trace.jobs.iter().filter(|job| job.is_preexisting()).count(), 1);
    let last = trace.shape(&trace.jobs[2]);
    assert_eq!((last.cpu_milli, last.memory_mib), (12_000, 123_392), "cores and GiB");
    assert_eq!(trace.adjusted[&"end_cut_off_by_recording"], 2);
    assert_eq!(trace.adjusted[&"submit_cut_off_by_recording"], 1);
    assert_eq!((trace.skipped[&SkipReason::NoGpu], trace.skipped[&SkipReason::NoDuration]), (1, 1));
}

#[test]
fn spot_jobs_are_gangs_of_equal_workers() {
    let header = "job_name,organization,gpu_model,cpu_request,gpu_request,worker_num,submit_time,\
                  duration,job_type\n";
    let trace = text(&format!(
        "{header}1,13,A10,20,1,16,0,100,HP\n2,57,A100-SXM4-80GB,15,0.5,2,5,70,Spot\n\
         3,57,,15,1.5,1,6,70,Spot\n4,57,,15,0,1,6,70,Spot\n5,57,,15,1,1,6,,Spot\n"
    ))
    .unwrap();
    assert_eq!(kept(&trace), [(0, 100, 16_000), (5, 70, 1000), (6, 70, 1500)]);
    let shape = |job: usize| trace.shape(&trace.jobs[job]);
    assert_eq!((shape(0).workers, shape(0).gpus, shape(0).priority), (16, 1, 1));
    assert_eq!((shape(1).workers, shape(1).gpus, shape(1).gpu_milli), (2, 1, 500));
    assert_eq!((shape(2).gpus, shape(2).gpu_milli, shape(2).priority), (2, 750, 0));
    assert_eq!(shape(0).cpu_milli, 20_000);
    let error = refused(&format!("{header}1,13,A10,20,1,1,0,100,Cheap\n"));
    assert!(error.contains("x.csv:2: job_type: found `Cheap`: write HP or Spot"), "{error}");
}

#[test]
fn equal_nodes_become_one_fixed_pool() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes.csv");
    let nodes = "sn,cpu_milli,memory_mib,gpu,model\na,96000,1024,2,T4\nb,96000,1024,2,T4\n\
                 c,32000,1024,2,T4\nd,32000,1024,0,\ne,128000,2048,8,G3\n";
    std::fs::write(&path, nodes).unwrap();
    let pools = read_nodes(&path, &()).unwrap();
    let seen: Vec<_> = pools.iter().map(|p| (p.name.as_str(), p.min_nodes, p.max_nodes)).collect();
    let expected = [
        ("G3-8", 1, Some(1)),
        ("T4-2-32000mcpu-1024mib", 1, Some(1)),
        ("T4-2-96000mcpu-1024mib", 2, Some(2)),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn the_published_openb_lists_are_read() {
    let Some(pods) = real("openb/openb_pod_list_default.csv.gz") else { return };
    let trace = read_file(&pods, None, &Options::default(), &()).unwrap();
    assert_eq!(trace.rows, 8152);
    // 861 pending pods ask for GPUs, 1088 pods do not (counted with awk).
    assert_eq!(trace.skipped[&SkipReason::NoDuration], 861);
    assert_eq!(trace.skipped[&SkipReason::NoGpu], 1088);
    let Some(nodes) = real("openb/openb_node_list_all_node.csv.gz") else { return };
    let pools = read_nodes(&nodes, &()).unwrap();
    let gpus: u32 = pools.iter().map(|pool| pool.min_nodes * pool.gpus_per_node).sum();
    assert_eq!(gpus, 6212, "the published cluster");
    assert_eq!(pools.iter().map(|pool| pool.min_nodes).sum::<u32>(), 1213);
}
