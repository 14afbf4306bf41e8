//! What is written reads back as the same trace.

use super::*;
use crate::model::{GangId, Job, KindId, Shape};
use proptest::prelude::*;

fn shapes() -> impl Strategy<Value = Shape> {
    let numbers = (any::<i32>(), 1..9_u32, 1..2000_u32, 1..=1000_u16, any::<u32>(), any::<u32>());
    let models = prop::collection::btree_set("[A-Z][A-Z0-9-]{0,5}", 0..3);
    let labels = prop::collection::btree_map("[a-z./]{1,6}", "[a-z0-9]{0,4}", 0..3);
    (numbers, models, labels, "(nvidia.com/gpu|nvidia.com/mig-1g.10gb)").prop_map(
        |(
            (priority, workers, gpus, gpu_milli, cpu_milli, memory_mib),
            models,
            labels,
            resource,
        )| {
            Shape {
                priority,
                workers,
                gpus,
                gpu_milli,
                cpu_milli,
                memory_mib,
                resource,
                gpu_models: models.into_iter().collect(),
                node_selector: labels.into_iter().collect(),
            }
        },
    )
}

fn traces() -> impl Strategy<Value = Trace> {
    let plain = shapes().prop_map(|shape| Shape { gpus: shape.gpus, ..Shape::whole_gpus(1) });
    let name = "([a-z,\"|é]{1,5}( [a-z\n]{0,3}[a-z])?)?";
    let row = (
        0..4_000_000_000_i64,
        1..4_000_000_000_i64,
        prop_oneof![plain, shapes()],
        name,
        prop_oneof![Just("preexisting".to_owned()), name],
        prop::option::weighted(0.3, (0..3_u32, 1..5_u32)),
    );
    prop::collection::vec(row, 0..20).prop_map(|rows| {
        let mut builder = TraceBuilder::new();
        for (submit, duration, shape, owner, kind, gang) in rows {
            let kind = builder.kind(&kind);
            let job = Job {
                submit: Timestamp(if kind == KindId::PREEXISTING { 0 } else { submit }),
                duration: Millis(duration),
                shape: builder.shape(&shape),
                owner: builder.owner(&owner),
                gang: gang.map_or(GangId::NONE, |(name, least)| {
                    builder.gang(&format!("gang {name}"), least)
                }),
                kind,
            };
            builder.count_row();
            builder.push(job);
        }
        builder.build()
    })
}

proptest! {
    #[test]
    fn a_written_trace_reads_back_equal(trace in traces()) {
        let mut output = Vec::new();
        write_jobs(&trace, &mut output).unwrap();
        let back = read(&*output, "x.csv", Some(Format::Jobs), &Options::default(), &()).unwrap();
        prop_assert_eq!(back, trace);
    }
}
