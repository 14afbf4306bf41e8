//! A fleet that plays everything around the controller: Cluster API, kubelets with GPU drivers, a scheduler
//! and jobs, if wanted cluster-autoscaler, as an ordinary client of whatever API it is given. With it the end-to-end suite runs on the
//! embedded API and, unchanged, on a real cluster.
//!
//! Every part is a pure step from what is there to what to do next ([`capi`], [`kubelet`], [`scheduler`],
//! [`autoscaler`]);
//! [`Fleet`] keeps the view up to date and carries the steps out. Time comes from the clock that is given,
//! so a fleet can live a day in minutes.

pub mod act;
pub mod autoscaler;
pub mod capi;
pub mod crds;
pub mod extender;
pub mod jobs;
pub mod kubelet;
pub mod objects;
pub mod scheduler;
pub mod view;

use crate::time::{Millis, Timestamp};
use act::Act;
use autoscaler::AutoscalerSettings;
use extender::{Asking, ExtenderAt};
use kube::Client;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use view::View;

/// Tells the time.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How nodes of the fleet come up.
#[derive(Clone, Copy, Debug)]
pub struct NodeTimes {
    /// From the Machine until the Node registers.
    pub register: Millis,
    /// From the Machine until the Node is Ready.
    pub provisioning: Millis,
    /// From Ready until all GPUs are allocatable.
    pub warm_up: Millis,
    /// Half of the GPUs are allocatable after this part of the warm-up, in thousandths; 0 = all at once.
    pub half_at_permille: u32,
}

impl Default for NodeTimes {
    fn default() -> Self {
        Self {
            register: Millis::from_secs(240),
            provisioning: Millis::from_secs(300),
            warm_up: Millis::from_secs(240),
            half_at_permille: 0,
        }
    }
}

/// What can go wrong with a Machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The provider refuses it: `InfrastructureReady` is false for good.
    CreationFails,
    /// It never registers as a Node.
    NeverRegisters,
    /// Its GPU driver never finishes.
    DriverStuck,
    /// Half of its GPUs never come.
    HalfForEver,
}

/// How the fleet behaves.
#[derive(Clone)]
pub struct FleetSettings {
    /// Only these namespaces are played.
    pub namespaces: Vec<String>,
    /// By MachineDeployment (`namespace/name`).
    pub times: BTreeMap<String, NodeTimes>,
    /// Of other MachineDeployments.
    pub default_times: NodeTimes,
    /// Nodes get the label `cluster-api/accelerator` (with the deployment's accelerator).
    pub label_accelerator: bool,
    /// Finished pods are deleted so long after they ended.
    pub keep_finished: Millis,
    /// cluster-autoscaler runs, with these flags.
    pub autoscaler: Option<AutoscalerSettings>,
    /// The scheduler asks this extender.
    pub extender: Option<ExtenderAt>,
    /// The clock.
    pub now: Now,
    /// Really passing time between two steps.
    pub step: Duration,
}

/// A fleet at work.
pub struct Fleet {
    stop: CancellationToken,
    task: JoinHandle<()>,
    state: Arc<Mutex<State>>,
}

/// What the fleet remembers beside the cluster.
#[derive(Debug, Default)]
pub struct State {
    /// Faults for the next Machines to be made.
    pub faults: Vec<Fault>,
    /// By Machine (`namespace/name`).
    pub machine_faults: BTreeMap<String, Fault>,
    /// Machines made in all.
    pub machines_made: u64,
    /// Number of the last Machine that was asked for.
    pub last_number: u64,
    /// Machines that were asked for and have not been seen yet, by key, with their deployment.
    pub asked: BTreeMap<String, String>,
    /// Nodes' lives: (deployment, from, until).
    pub lives: BTreeMap<String, (Timestamp, Option<Timestamp>)>,
    /// Of cluster-autoscaler.
    pub autoscaler: autoscaler::Memory,
    /// By pod uid: from creation to being bound.
    pub waits: BTreeMap<String, Millis>,
}

impl State {
    /// A Machine was made, or was not.
    fn note_machine(&mut self, key: &str, is_made: bool) {
        if is_made {
            self.machines_made += 1;
        } else {
            self.asked.remove(key);
            self.lives.remove(key);
        }
    }
}

impl Fleet {
    /// Starts playing.
    ///
    /// # Errors
    /// If the API does not answer the first lists.
    pub async fn start(client: Client, settings: FleetSettings) -> Result<Self, kube::Error> {
        let stop = CancellationToken::new();
        let state = Arc::new(Mutex::new(State::default()));
        let view = View::start(&client, &settings, &stop).await?;
        let task = tokio::spawn(play(client, settings, view, Arc::clone(&state), stop.clone()));
        Ok(Self { stop, task, state })
    }

    /// The next Machines to be made have these faults, in order.
    pub fn next_machines_fail(&self, faults: impl IntoIterator<Item = Fault>) {
        if let Ok(mut state) = self.state.lock() {
            state.faults.extend(faults);
        }
    }

    /// Machines made so far.
    pub fn machines_made(&self) -> u64 {
        self.state.lock().map_or(0, |state| state.machines_made)
    }

    /// Reads the fleet's memory.
    pub fn with_state<T>(&self, read: impl FnOnce(&State) -> T) -> Option<T> {
        self.state.lock().ok().map(|state| read(&state))
    }

    /// Stops playing; what is there stays.
    pub async fn stop(self) {
        self.stop.cancel();
        // A panic of the task was shown when it happened.
        self.task.await.ok();
    }
}

async fn play(
    client: Client,
    settings: FleetSettings,
    view: View,
    state: Arc<Mutex<State>>,
    stop: CancellationToken,
) {
    let mut asking = settings.extender.clone().map(Asking::new);
    while !stop.is_cancelled() {
        let now = (settings.now)();
        let seen = view.seen(&settings.namespaces);
        let mut acts: Vec<Act> = match state.lock() {
            Ok(mut state) => {
                let mut acts = capi::step(now, &seen, &settings, &mut state);
                acts.extend(kubelet::step(now, &seen, &settings, &state));
                if asking.is_none() {
                    acts.extend(scheduler::step(now, &seen, &mut state));
                }
                if let Some(flags) = settings.autoscaler {
                    acts.extend(autoscaler::step(now, &seen, flags, &mut state));
                }
                acts
            }
            Err(_) => return,
        };
        if let Some(asking) = &mut asking {
            let note = |note: &mut dyn FnMut(&mut State)| {
                if let Ok(mut state) = state.lock() {
                    note(&mut state);
                }
            };
            acts.extend(asking.step(now, &seen, note).await);
        }
        for act in acts {
            let machine = act.machine_made();
            let done = act.carry_out(&client).await;
            // What did not work is tried again at the next step, from what is there then.
            if let Err(error) = &done {
                tracing::debug!(%error, "the fleet's write was not taken");
            }
            if let (Some(machine), Ok(mut state)) = (machine, state.lock()) {
                state.note_machine(&machine, done.is_ok());
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(settings.step) => {}
        }
    }
}
