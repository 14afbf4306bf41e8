//! Pods that lived and died between two scrapes. Nothing tells of them; how many they were is estimated from the
//! short ones that happened to be seen.
//!
//! A pod that lives for a share of the interval is seen with that probability, so each one seen stands for the
//! inverse of it (Horvitz and Thompson 1952). How long a vanished pod lived is known to one interval only:
//! taking the middle gives the lower bound, every length being as likely as any other the upper.

use super::{
    pod::{End, PodLife},
    scrapes::Scrapes,
};

/// How many pods were lost, at least and at most, as estimated.
pub fn lost_pods(pods: &[PodLife], scrapes: &Scrapes) -> (u64, u64) {
    let step = scrapes.interval.0 as f64;
    let (mut low, mut high) = (0.0, 0.0);
    for pod in pods.iter().filter(|pod| matches!(pod.end, End::About(_))) {
        let (Some(created), Some(last)) = (pod.created, pod.last_seen) else { continue };
        let known = ((last - created).0 as f64).max(1000.0);
        if known >= step {
            continue;
        }
        low += (step / (known + step / 2.0) - 1.0).max(0.0);
        high += ((step / known).ln() * step - (step - known)) / step;
    }
    (low.min(high).round() as u64, low.max(high).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{
        pod_lives,
        testing::{Told, scrapes},
    };

    #[test]
    fn short_pods_that_were_seen_stand_for_those_that_were_not() {
        let mut told = Told::default();
        // Seen once, 10 s old, with 60 s between scrapes: lived 10 to 70 s.
        for nth in 0..100 {
            let uid = nth.to_string();
            told.asks(&uid, 1.0, "", &[600]).says(&uid, "kube_pod_created", 590.0);
        }
        let scrapes = scrapes(3600);
        // By hand: 100 * (60/40 - 1) = 50; 100 * (ln 6 - 50/60) = 95.8.
        assert_eq!(lost_pods(&pod_lives(&told.0, &scrapes), &scrapes), (50, 96));
        // Nobody who lives longer than an interval is lost.
        let mut told = Told::default();
        told.asks("1", 1.0, "", &[540, 600]).says("1", "kube_pod_created", 500.0);
        assert_eq!(lost_pods(&pod_lives(&told.0, &scrapes), &scrapes), (0, 0));
    }
}
