//! A list whose copies share what has not changed: a copy costs a pointer a page of 64, a change copies one
//! page.

use std::sync::Arc;

const PAGE: usize = 64;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Pages<T> {
    pages: Vec<Arc<Vec<T>>>,
    count: usize,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), count: 0 }
    }
}

impl<T: Clone> Pages<T> {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// The one at this place.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.pages.get(at / PAGE)?.get(at % PAGE)
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.iter())
    }

    /// All, in order, to be changed: nothing is shared afterwards.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flat_map(|page| Arc::make_mut(page).iter_mut())
    }

    /// One more at the end.
    pub(super) fn push(&mut self, one: T) {
        match self.pages.last_mut() {
            Some(page) if page.len() < PAGE => Arc::make_mut(page).push(one),
            _ => self.pages.push(Arc::new(vec![one])),
        }
        self.count += 1;
    }

    /// Another at this place, if there is one.
    pub(super) fn put(&mut self, at: usize, one: T) {
        let page = self.pages.get_mut(at / PAGE);
        if let Some(place) = page.and_then(|page| Arc::make_mut(page).get_mut(at % PAGE)) {
            *place = one;
        }
    }

    /// Places at which this list and another may differ.
    pub(super) fn changed_since(&self, before: &Self) -> impl Iterator<Item = usize> {
        let pages = self.pages.iter().enumerate().filter(|&(nth, page)| {
            before.pages.get(nth).is_none_or(|before| !Arc::ptr_eq(page, before))
        });
        pages.flat_map(|(nth, page)| nth * PAGE..nth * PAGE + page.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a vector; a copy made before stays as it was, and what differs is named.
        #[test]
        fn it_is_a_list_and_its_copies_stay(
            steps in prop::collection::vec((any::<bool>(), 0..300_usize), 0..400),
            copied_after in 0..400_usize,
        ) {
            let (mut list, mut model) = (Pages::default(), Vec::new());
            let (mut copy, mut model_of_copy) = (list.clone(), model.clone());
            for (nth, &(is_new, at)) in steps.iter().enumerate() {
                if nth == copied_after {
                    (copy, model_of_copy) = (list.clone(), model.clone());
                }
                if is_new {
                    list.push(nth);
                    model.push(nth);
                } else {
                    list.put(at, nth);
                    if let Some(place) = model.get_mut(at) {
                        *place = nth;
                    }
                }
            }
            prop_assert_eq!(list.iter().copied().collect::<Vec<_>>(), model.clone());
            prop_assert_eq!(copy.iter().copied().collect::<Vec<_>>(), model_of_copy.clone());
            prop_assert_eq!(list.len(), model.len());
            let changed: Vec<usize> = list.changed_since(&copy).collect();
            for at in 0..=model.len() {
                prop_assert_eq!(list.get(at), model.get(at));
                prop_assert!(model.get(at) == model_of_copy.get(at) || changed.contains(&at));
            }
        }
    }
}
