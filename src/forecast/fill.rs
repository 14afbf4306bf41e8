//! Best-fit decreasing by counts: equal sizes are placed together, each where the least is left over.
//!
//! At most 11/9 of the fewest bins and a bin; exact when each size divides the next. Twice the same: over few
//! distinct amounts of any scale ([`fill_bins`], shares of a device), and over levels of a small capacity
//! ([`fill_nodes`], devices of a node), which is an order of magnitude faster.

/// New bins of `capacity` that `(size, count)`, largest size first, fill beyond the `open` ones. `open`: (free,
/// bins), each amount once; left as it then is.
pub(super) fn fill_bins(
    capacity: u32,
    sizes: impl Iterator<Item = (u32, i64)>,
    open: &mut Vec<(u32, i64)>,
) -> i64 {
    let mut bins = 0;
    for (size, mut left) in sizes {
        while left > 0 {
            let fitting = (0..open.len()).filter(|&place| open[place].0 >= size);
            let tightest = fitting.min_by_key(|&place| open[place].0);
            let found = tightest.map(|place| open.swap_remove(place));
            let (free, count) = found.unwrap_or_else(|| {
                let per_bin = i64::from(capacity / size).max(1);
                let fresh = (left + per_bin - 1) / per_bin;
                bins += fresh;
                (capacity.max(size), fresh)
            });
            // Equal sizes go on filling the same bin, since it then has the least left.
            let per_bin = i64::from(free / size);
            let full = count.min(left / per_bin);
            put(open, free - per_bin as u32 * size, full);
            left -= full * per_bin;
            let mut untouched = count - full;
            if untouched > 0 && left > 0 {
                put(open, free - left as u32 * size, 1);
                untouched -= 1;
                left = 0;
            }
            put(open, free, untouched);
        }
    }
    bins
}

fn put(open: &mut Vec<(u32, i64)>, free: u32, bins: i64) {
    if free == 0 || bins == 0 {
        return;
    }
    match open.iter_mut().find(|entry| entry.0 == free) {
        Some(entry) => entry.1 += bins,
        None => open.push((free, bins)),
    }
}

/// The same for nodes: `levels[d]` of them have `d` devices free, the last entry is what a new one has; sizes
/// are from 1 to that.
pub(super) fn fill_nodes(levels: &mut [i64], sizes: impl Iterator<Item = (usize, i64)>) -> i64 {
    let capacity = levels.len() - 1;
    let mut new = 0;
    for (size, mut left) in sizes.filter(|&(_, count)| count > 0) {
        for free in size..=capacity {
            left -= fill_level(levels, (free, levels[free]), size, left);
            if left == 0 {
                break;
            }
        }
        if left > 0 {
            let per_node = (capacity / size) as i64;
            let fresh = (left + per_node - 1) / per_node;
            new += fresh;
            levels[capacity] += fresh;
            fill_level(levels, (capacity, fresh), size, left);
        }
    }
    new
}

/// Fills up to `nodes` nodes with `free` devices, one after the other; how many of `left` found a place.
fn fill_level(levels: &mut [i64], (free, nodes): (usize, i64), size: usize, left: i64) -> i64 {
    let per_node = (free / size) as i64;
    let full = nodes.min(left / per_node);
    levels[free] -= full;
    levels[free % size] += full;
    let rest = left - full * per_node;
    if full == nodes || rest == 0 {
        return full * per_node;
    }
    levels[free] -= 1;
    levels[free - rest as usize * size] += 1;
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One by one: new bins, and what is left in all of them.
    fn one_by_one(capacity: u32, items: &[u32], mut free: Vec<u32>) -> (i64, Vec<u32>) {
        let mut new = 0;
        for &item in items {
            if let Some(free) = free.iter_mut().filter(|free| **free >= item).min() {
                *free -= item;
            } else {
                free.push(capacity - item);
                new += 1;
            }
        }
        free.retain(|&free| free > 0);
        free.sort_unstable();
        (new, free)
    }

    fn counted(items: &[u32]) -> impl Iterator<Item = (u32, i64)> {
        items.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as i64))
    }

    fn spelled(counts: impl Iterator<Item = (u32, i64)>) -> Vec<u32> {
        let repeated = counts.flat_map(|(size, count)| std::iter::repeat_n(size, count as usize));
        let mut all: Vec<u32> = repeated.filter(|&size| size > 0).collect();
        all.sort_unstable();
        all
    }

    proptest! {
        #[test]
        fn counting_equal_sizes_together_is_best_fit_one_by_one(
            mut items in prop::collection::vec(1u32..=12, 0..40),
            free in prop::collection::vec(1u32..=12, 0..10),
        ) {
            items.sort_unstable_by(|a, b| b.cmp(a));
            let expected = one_by_one(12, &items, free.clone());
            let mut open = Vec::new();
            for &free in &free {
                put(&mut open, free, 1);
            }
            let bins = fill_bins(12, counted(&items), &mut open);
            prop_assert_eq!((bins, spelled(open.into_iter())), expected.clone());
            let mut levels = vec![0; 13];
            for &free in &free {
                levels[free as usize] += 1;
            }
            let sizes = counted(&items).map(|(size, count)| (size as usize, count));
            let nodes = fill_nodes(&mut levels, sizes);
            prop_assert_eq!((nodes, spelled((0..).zip(levels))), expected);
        }
    }
}
