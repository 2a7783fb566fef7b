// Functions of Rust whose callers are found by unwind tables. Each case calls mark(case)
// from inside of it, again and again until the program is killed.
use std::hint::black_box;

#[no_mangle]
#[inline(never)]
pub extern "C" fn mark(n: i32) { black_box(n); }

trait Shape { fn area(&self, n: i32) -> i32; }
struct Square(i32);
impl Shape for Square {
    #[inline(never)]
    fn area(&self, n: i32) -> i32 { mark(n); black_box(self.0) }
}

#[inline(never)]
fn dynamic(s: &dyn Shape, n: i32) -> i32 { black_box(s.area(n)) + 1 }

#[inline(never)]
fn generic<T: Shape>(s: &T, n: i32) -> i32 { black_box(s.area(n)) + 2 }

#[inline(never)]
fn calls(f: &dyn Fn(i32) -> i32, n: i32) -> i32 { black_box(f(n)) + 1 }

#[inline(never)]
fn closure(n: i32) -> i32 { let k = black_box(3); black_box(calls(&|n| { mark(n); n + k }, n)) + 1 }

struct Guard(i32);
impl Drop for Guard {
    #[inline(never)]
    fn drop(&mut self) { mark(self.0); black_box(()); }
}

#[inline(never)]
fn panics(n: i32) -> i32 { let _g = Guard(n); if black_box(n) >= 0 { std::panic::resume_unwind(Box::new(1)) } n }

#[inline(never)]
fn caught(n: i32) -> i32 { let r = std::panic::catch_unwind(|| panics(n)).is_err() as i32; black_box(r) + 1 }

#[inline(never)]
fn in_thread(n: i32) { mark(n); black_box(()); }

fn main() {
    let s = Square(4);
    loop {
        dynamic(&s, 0);
        generic(&s, 1);
        closure(2);
        caught(3);
        let _ = std::thread::spawn(|| { in_thread(4); black_box(1) }).join();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
