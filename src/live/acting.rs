//! What came of carrying a decision out, as the condition `Actuating` of a pool tells it.

use super::{
    actuate::{Outcome, Plan, Refusal},
    controller::Turn,
};

/// What came of carrying decisions out, as conditions tell it: one word and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    /// Decisions reach the cluster.
    pub is_acting: bool,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// By pool, what came of carrying a plan out.
pub fn acting(turn: &Turn, plan: &Plan, outcomes: &[Outcome]) -> Vec<Acting> {
    (0..turn.look.pools.len())
        .map(|pool| {
            let steps = plan.writes.iter().zip(outcomes);
            let failed =
                steps.filter(|(step, _)| step.pool == Some(pool)).find_map(|(step, outcome)| {
                    let (reason, fault) = fault(outcome)?;
                    let message = format!("{}: {fault}", step.write);
                    Some(Acting { is_acting: false, reason: reason.to_owned(), message })
                });
            let refused = || {
                let about = |refusal: &&Refusal| refusal.pool.is_none_or(|about| about == pool);
                let all: Vec<_> = plan.refusals.iter().filter(about).collect();
                let first = all
                    .iter()
                    .find(|refusal| !refusal.reason.is_notice())
                    .or_else(|| all.first())?;
                Some(Acting {
                    is_acting: first.reason.is_notice(),
                    reason: first.reason.word().to_owned(),
                    message: first.message.clone(),
                })
            };
            failed.or_else(refused).unwrap_or_else(|| Acting {
                is_acting: true,
                reason: "Acting".to_owned(),
                message: "decisions are carried out".to_owned(),
            })
        })
        .collect()
}

/// What went wrong with a write, for conditions: one word and a sentence. Whatever the next look settles by
/// itself is nothing to tell.
fn fault(outcome: &Outcome) -> Option<(&'static str, String)> {
    match outcome {
        Outcome::Forbidden(why) => Some(("Forbidden", why.clone())),
        Outcome::Invalid(why) => Some(("Invalid", why.clone())),
        Outcome::Transient(why) => Some(("ApiFails", why.clone())),
        Outcome::TimedOut => Some(("ApiFails", "no answer in time".to_owned())),
        _ => None,
    }
}
