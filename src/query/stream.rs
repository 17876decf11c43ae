//! Rows of one step for the next: an iterator, or at most one row that is there already, which needs no memory to be handed on.

/// See the module.
pub(crate) enum Stream<'t, T> {
    One(Option<T>),
    Many(Box<dyn Iterator<Item = T> + 't>),
}

impl<'t, T: 't> Stream<'t, T> {
    pub(super) fn of(rows: impl Iterator<Item = T> + 't) -> Self {
        Stream::Many(Box::new(rows))
    }

    /// As [`Iterator::filter`].
    pub(super) fn keep(self, keep: impl Fn(&T) -> bool + 't) -> Self {
        match self {
            Stream::One(row) => Stream::One(row.filter(keep)),
            Stream::Many(rows) => Stream::of(rows.filter(keep)),
        }
    }

    /// As [`Iterator::filter_map`].
    pub(super) fn map_some<U: 't>(self, map: impl Fn(T) -> Option<U> + 't) -> Stream<'t, U> {
        match self {
            Stream::One(row) => Stream::One(row.and_then(map)),
            Stream::Many(rows) => Stream::of(rows.filter_map(map)),
        }
    }
}

impl<T> Iterator for Stream<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            Stream::One(row) => row.take(),
            Stream::Many(rows) => rows.next(),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn one_row_goes_through_as_one_of_many_does() {
        for number in 0..4 {
            let both = [Stream::One(Some(number)), Stream::of(std::iter::once(number))];
            let [one, many] = both.map(|rows| {
                let kept = rows.keep(|n| n % 2 == 0);
                kept.map_some(|n| (n > 0).then(|| n.to_string())).collect::<Vec<_>>()
            });
            assert_eq!(one, many, "{number}");
            assert_eq!(one.len(), usize::from(number == 2));
        }
    }
}
