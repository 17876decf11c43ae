//! The figures to reach, with mimalloc. See `suite`.

mod suite;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> suite::Result<()> {
    suite::run("figures_mimalloc", "mimalloc")
}
