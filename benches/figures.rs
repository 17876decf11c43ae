//! The figures to reach, with the system's allocator. See `suite`.

mod suite;

fn main() -> suite::Result<()> {
    suite::run("figures", "system")
}
