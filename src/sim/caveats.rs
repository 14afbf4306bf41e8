//! What a reader must know before trusting the figures: demand that no pool can serve, constraints that
//! were not looked at, rows that are not as they were recorded.

use crate::{
    model::{NVIDIA_GPU, Pool, Shape, Trace},
    packing::{Bins, Room, split},
};

/// One sentence or two per caveat, in a fixed order; empty if there is nothing to say. Each names a
/// number of jobs or rows and, where something can be done, what.
pub fn caveats(trace: &Trace, pools: &[Pool]) -> Vec<String> {
    [homeless(trace, pools), any_model(trace, pools), adjusted(trace)]
        .into_iter()
        .flatten()
        .collect()
}

/// Jobs that fit no pool, however long they wait.
fn homeless(trace: &Trace, pools: &[Pool]) -> Option<String> {
    let (jobs, shape) = count(trace, |shape| !pools.iter().any(|pool| can_hold(pool, shape)))?;
    let fit = if jobs == 1 {
        "1 job fits no pool and waits".to_owned()
    } else {
        format!("{jobs} jobs fit no pool and wait")
    };
    let most = if jobs == 1 { "It asks" } else { "Most of them ask" };
    Some(format!(
        "{fit} to the end. {most} for {}. Add or enlarge a pool (--pool NAME=GPUS[:MODEL], \
         --max-nodes, or `pools:` of a scenario), or take these jobs out of the trace.",
        in_words(shape)
    ))
}

/// Jobs that ask for a model where a pool does not say which it has.
fn any_model(trace: &Trace, pools: &[Pool]) -> Option<String> {
    let unnamed =
        |shape: &Shape| pools.iter().any(|pool| pool.gpu_model.is_empty() && can_hold(pool, shape));
    let (jobs, shape) = count(trace, |shape| !shape.gpu_models.is_empty() && unnamed(shape))?;
    let ask = if jobs == 1 { "1 job asks".to_owned() } else { format!("{jobs} jobs ask") };
    Some(format!(
        "{ask} for a GPU model (most often {}), but a pool without a model takes them all. To keep \
         models apart, name the pools: --pool NAME=GPUS:MODEL.",
        shape.gpu_models.join(" or ")
    ))
}

/// Rows that were taken after a correction.
fn adjusted(trace: &Trace) -> Option<String> {
    let rows: u64 = trace.adjusted.values().sum();
    let reasons: Vec<String> = trace
        .adjusted
        .iter()
        .map(|(what, rows)| format!("{} {rows}", what.replace('_', " ")))
        .collect();
    let were = if rows == 1 { "1 row was".to_owned() } else { format!("{rows} rows were") };
    (rows > 0).then(|| format!("{were} taken after a correction: {}.", reasons.join(", ")))
}

/// How many jobs have such a shape, and the shape most of them have (the first in order of several).
fn count(trace: &Trace, is_such: impl Fn(&Shape) -> bool) -> Option<(u64, &Shape)> {
    let mut jobs = vec![0u64; trace.shapes.len()];
    for job in &trace.jobs {
        jobs[job.shape.0 as usize] += 1;
    }
    let such: Vec<(u64, &Shape)> = jobs
        .into_iter()
        .zip(&trace.shapes)
        .filter(|&(jobs, shape)| jobs > 0 && is_such(shape))
        .collect();
    let most = such.iter().copied().reduce(|a, b| if b.0 > a.0 { b } else { a })?;
    Some((such.iter().map(|&(jobs, _)| jobs).sum(), most.1))
}

/// Whether the pool, with nothing else on it, can ever hold a job of this shape.
fn can_hold(pool: &Pool, shape: &Shape) -> bool {
    let Some(parts) = split(shape, pool) else { return false };
    let node = Room::empty_node(pool, shape.gpu_milli < 1000);
    let may_grow = |most| Bins::Rooms(Vec::new()).grow_for(&parts, &node, most).is_some();
    pool.max_nodes.is_none_or(may_grow)
}

fn in_words(shape: &Shape) -> String {
    let workers = if shape.workers > 1 { format!("{} x ", shape.workers) } else { String::new() };
    let of_each = if shape.gpu_milli < 1000 {
        format!(" ({} thousandths of each)", shape.gpu_milli)
    } else {
        String::new()
    };
    let mut words = format!("{workers}{} GPU{of_each}", shape.gpus);
    let mut add = |is_asked: bool, what: String| {
        if is_asked {
            words.push_str(&what);
        }
    };
    add(!shape.gpu_models.is_empty(), format!(" of {}", shape.gpu_models.join(" or ")));
    add(shape.resource != NVIDIA_GPU, format!(" as {}", shape.resource));
    add(shape.cpu_milli > 0, format!(", {} milli-CPU", shape.cpu_milli));
    add(shape.memory_mib > 0, format!(", {} MiB", shape.memory_mib));
    for (key, value) in &shape.node_selector {
        add(true, format!(", node label {key}={value}"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{GangId, Job, KindId, TraceBuilder},
        time::{Millis, Timestamp},
    };

    fn trace(shapes: &[Shape]) -> Trace {
        let mut builder = TraceBuilder::new();
        for shape in shapes {
            let job = Job {
                submit: Timestamp::ZERO,
                duration: Millis::from_secs(60),
                shape: builder.shape(shape),
                owner: builder.owner(""),
                gang: GangId::NONE,
                kind: KindId::NONE,
            };
            builder.push(job);
        }
        builder.build()
    }

    fn of_model(model: &str) -> Shape {
        Shape { gpu_models: vec![model.to_owned()], ..Shape::whole_gpus(2) }
    }

    #[test]
    fn nothing_is_said_where_all_is_well() {
        let pool = Pool { gpu_model: "T4".into(), ..Pool::new("t4", 8) };
        assert_eq!(caveats(&trace(&[of_model("T4"), Shape::whole_gpus(20)]), &[pool]), [""; 0]);
    }

    #[test]
    fn jobs_that_fit_no_pool_are_counted_and_the_commonest_shape_is_told() {
        let pool = Pool { gpu_model: "T4".into(), ..Pool::new("t4", 8) };
        let shapes = [of_model("A100"), of_model("V100"), of_model("V100"), of_model("T4")];
        let said = caveats(&trace(&shapes), &[pool]);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("3 jobs fit no pool"), "{said:?}");
        assert!(said[0].contains("2 GPU of V100") && said[0].contains("--pool"), "{said:?}");
    }

    #[test]
    fn a_maximum_too_small_for_a_job_makes_it_fit_no_pool() {
        let pool = |max| Pool { max_nodes: Some(max), ..Pool::new("p", 8) };
        let shared = Shape { gpu_milli: 500, ..Shape::whole_gpus(16) };
        let trace = trace(&[Shape::whole_gpus(20), shared]);
        assert_eq!(caveats(&trace, &[pool(3)]), [""; 0]);
        let said = caveats(&trace, &[pool(2)]);
        assert!(
            said[0].starts_with("1 job fits no pool") && said[0].contains("20 GPU"),
            "{said:?}"
        );
        // Both parts of the shared job fit one node.
        assert!(caveats(&trace, &[pool(1)])[0].starts_with("1 job fits no pool"));
    }

    #[test]
    fn a_pool_without_a_model_ignores_the_models_asked_for() {
        let shapes = [of_model("T4"), of_model("T4"), of_model("A100"), Shape::whole_gpus(1)];
        let said = caveats(&trace(&shapes), &[Pool::new("default", 8)]);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("3 jobs ask for a GPU model (most often T4)"), "{said:?}");
    }

    #[test]
    fn corrected_rows_are_added_up() {
        let mut trace = trace(&[Shape::whole_gpus(1)]);
        trace.adjusted = [("end_censored", 3), ("submit_from_task", 2)].into();
        let said = caveats(&trace, &[Pool::new("default", 8)]);
        let whole = "5 rows were taken after a correction: end censored 3, submit from task 2.";
        assert_eq!(said, [whole]);
    }
}
