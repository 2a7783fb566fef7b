#[repr(C)]
pub struct Pair {
    pub a: i32,
    pub b: i64,
}

#[inline(never)]
#[no_mangle]
pub extern "C" fn leaf(x: i64) -> i64 { std::hint::black_box(x) }

#[inline(never)]
#[no_mangle]
pub extern "C" fn work(p: &Pair) -> i64 { inner(p) + 1 }

#[inline(always)]
fn inner(p: &Pair) -> i64 {
    let x = p.b + p.a as i64;
    leaf(x) * 2
}

fn main() {
    let p = Pair { a: 1, b: 2 };
    std::process::exit(work(std::hint::black_box(&p)) as i32 - 7);
}
