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

    pub(super) fn none() -> Self {
        Stream::One(None)
    }

    /// As [`Iterator::filter`].
    pub(super) fn keep(self, keep: impl Fn(&T) -> bool + 't) -> Self {
        match self {
            Stream::One(row) => Stream::One(row.filter(keep)),
            Stream::Many(rows) => Stream::of(rows.filter(keep)),
        }
    }

    /// As [`Iterator::map`].
    pub(super) fn map_each<U: 't>(self, map: impl Fn(T) -> U + 't) -> Stream<'t, U> {
        match self {
            Stream::One(row) => Stream::One(row.map(map)),
            Stream::Many(rows) => Stream::of(rows.map(map)),
        }
    }

    /// The same without the first so many, and of no more than so many.
    pub(super) fn slice_each<U: 't>(
        self,
        offset: usize,
        limit: usize,
        map: impl Fn(T) -> U + 't,
    ) -> Stream<'t, U> {
        match self {
            Stream::One(row) => Stream::One(row.filter(|_| offset == 0 && limit > 0).map(map)),
            Stream::Many(rows) => Stream::of(rows.skip(offset).take(limit).map(map)),
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
        for number in 0..6 {
            for (offset, limit) in [(0, 0), (0, 1), (1, 1), (0, usize::MAX), (1, usize::MAX)] {
                let both = [Stream::One(Some(number)), Stream::of(std::iter::once(number))];
                let [one, many] = both.map(|rows| {
                    rows.keep(|n| n % 2 == 0)
                        .map_each(|n| n + 1)
                        .slice_each(offset, limit, |n| n * 3)
                        .collect::<Vec<_>>()
                });
                assert_eq!(one, many, "{number}, from {offset}, {limit}");
            }
        }
        assert_eq!(Stream::<u8>::none().count(), 0);
    }
}
